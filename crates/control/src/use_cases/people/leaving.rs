//! What ends with somebody's place: the management keys that they made and the invitations that they sent.
