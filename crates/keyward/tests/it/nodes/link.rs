//! The line between a node and its database, with what can happen to lines: cut, gone quiet, quiet one way.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

/// What a line does with bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Carries them.
    Open,
    /// Lets nobody through: connections end, new ones end at once.
    Cut,
    /// Carries nothing, and says nothing about it: what is sent arrives once the line is open again.
    Quiet,
    /// Carries questions but no answers.
    Deaf,
}

/// A line to a database on this machine.
pub struct Link {
    pub address: SocketAddr,
    inner: Arc<Inner>,
}

struct Inner {
    to: Mutex<SocketAddr>,
    state: Mutex<State>,
    moved: Condvar,
    sockets: Mutex<Vec<TcpStream>>,
}

#[derive(Clone, Copy)]
enum Way {
    Question,
    Answer,
}

impl Link {
    /// A line that is open, to this port of the machine itself.
    pub fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Arc::new(Inner {
            to: Mutex::new(here(port)),
            state: Mutex::new(State::Open),
            moved: Condvar::new(),
            sockets: Mutex::default(),
        });
        let accepting = Arc::clone(&inner);
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                accepting.carry(connection);
            }
        });
        Link { address, inner }
    }

    /// Leads to another port from now on; who was connected is cut off.
    pub fn lead_to(&self, port: u16) {
        *self.inner.to.lock().unwrap() = here(port);
        self.inner.cut_off();
    }

    /// Puts the line into a state.
    pub fn set(&self, state: State) {
        *self.inner.state.lock().unwrap() = state;
        self.inner.moved.notify_all();
        if state == State::Cut {
            self.inner.cut_off();
        }
    }
}

fn here(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

impl Inner {
    fn cut_off(&self) {
        for socket in self.sockets.lock().unwrap().drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    fn carry(self: &Arc<Self>, caller: TcpStream) {
        if *self.state.lock().unwrap() == State::Cut {
            let _ = caller.shutdown(Shutdown::Both);
            return;
        }
        // A database that is down refuses; so does the line then.
        let to = *self.to.lock().unwrap();
        let Ok(database) = TcpStream::connect(to) else { return };
        let ways = [(Way::Question, &caller, &database), (Way::Answer, &database, &caller)];
        for socket in [&caller, &database] {
            socket.set_nodelay(true).unwrap();
            self.sockets.lock().unwrap().push(socket.try_clone().unwrap());
        }
        for (way, from, to) in ways {
            let (from, to, inner) = (from.try_clone().unwrap(), to.try_clone().unwrap(), Arc::clone(self));
            std::thread::spawn(move || inner.pump(way, from, to));
        }
    }

    fn pump(&self, way: Way, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = [0; 16 * 1024];
        while let Ok(length) = from.read(&mut buffer) {
            if length == 0 || !self.may_pass(way) || to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }

    /// Waits while the line is quiet this way; whether it carries then.
    fn may_pass(&self, way: Way) -> bool {
        let state = self.state.lock().unwrap();
        let is_quiet = |state: &mut State| match way {
            Way::Question => *state == State::Quiet,
            Way::Answer => matches!(state, State::Quiet | State::Deaf),
        };
        let state = self.moved.wait_while(state, is_quiet).unwrap();
        *state != State::Cut
    }
}
