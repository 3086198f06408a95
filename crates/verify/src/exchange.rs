//! stub (lead is writing this)
/// A request under way with a key, from its grant until its last byte. Dropping it ends it.
#[derive(Debug)]
pub struct Exchange(());
impl Exchange {
    /// Whether the key was taken away since: nothing more may pass.
    pub fn is_closed(&self) -> bool { false }
    /// Completes when the key is taken away.
    pub async fn closed(&self) { std::future::pending::<()>().await }
    /// Polls for the key being taken away; registers the waker (one waiting task at a time).
    pub fn poll_closed(&self, _cx: &mut std::task::Context<'_>) -> std::task::Poll<()> { std::task::Poll::Pending }
}
