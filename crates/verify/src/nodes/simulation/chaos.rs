//! What happens in a simulated world: requests, revokes, and everything that goes wrong.

use std::rc::Rc;

use super::World;
use super::node::{LEASE, Node};

/// Starts all of it.
pub fn start(world: &Rc<World>) {
    world.executor.spawn(None, ask(Rc::clone(world)));
    world.executor.spawn(None, revoke(Rc::clone(world)));
    world.executor.spawn(None, harm(Rc::clone(world)));
}

impl World {
    fn any_node(&self) -> Rc<Node> {
        let nodes = self.nodes.borrow();
        Rc::clone(&nodes[self.executor.below(nodes.len())])
    }

    fn any_key(&self) -> usize {
        self.executor.below(self.database.borrow().keys())
    }
}

async fn ask(world: Rc<World>) {
    let executor = &world.executor;
    loop {
        executor.sleep(executor.waiting_time(8.0)).await;
        let (node, key, began) = (world.any_node(), world.any_key(), executor.now());
        if node.is_down.get() {
            continue;
        }
        let asked = Rc::clone(&node);
        node.spawn(async move {
            let executor = Rc::clone(asked.executor());
            executor.sleep(executor.millis(0.1, 2.0)).await;
            asked.verify(key, began).await;
        });
    }
}

async fn revoke(world: Rc<World>) {
    let executor = &world.executor;
    loop {
        executor.sleep(executor.millis(150.0, 900.0)).await;
        let (node, key) = (world.any_node(), world.any_key());
        if !node.is_down.get() {
            node.spawn(Rc::clone(&node).revoke(key));
        }
        // A second caller revokes the same key almost at once.
        if executor.happens(0.25) {
            let (other, pause) = (world.any_node(), executor.millis(0.0, 30.0));
            if !other.is_down.get() {
                let asked = Rc::clone(&other);
                other.spawn(async move {
                    asked.executor().sleep(pause).await;
                    asked.revoke(key).await;
                });
            }
        }
        if executor.happens(0.5) {
            world.database.borrow_mut().add_key();
        }
    }
}

async fn harm(world: Rc<World>) {
    let executor = &world.executor;
    let leases = |low: f64, high: f64| executor.millis(low, high * LEASE.as_millis() as f64);
    loop {
        executor.sleep(executor.waiting_time(500.0)).await;
        let (node, now) = (world.any_node(), executor.now());
        let stop = |by: i64| node.stopped_until.set(node.stopped_until.get().max(now + by));
        match executor.chance() {
            x if x < 0.28 => node.cut_until.set(now + leases(50.0, 3.0)),
            x if x < 0.52 => stop(leases(20.0, 3.0)),
            x if x < 0.62 => {
                let by = leases(200.0, 3.0);
                stop(by);
                node.suspended.set(node.suspended.get() + by);
            }
            x if x < 0.77 && !node.is_down.get() => {
                node.kill();
                let (back, pause) = (Rc::clone(&node), executor.millis(5.0, 600.0));
                executor.spawn(None, async move {
                    back.executor().sleep(pause).await;
                    back.boot();
                });
            }
            x if x < 0.85 => node.set_by.set(node.set_by.get() - leases(0.0, 3.0)),
            x if x < 0.92 && !node.is_down.get() => replace(&world, node),
            x if x < 0.96 => {
                let down_until = now + executor.millis(20.0, 500.0);
                world.database.borrow_mut().crash(now, down_until, executor.millis(50.0, 600.0));
            }
            _ => {}
        }
    }
}

/// A rolling restart: the next process runs before the one before has ended.
fn replace(world: &Rc<World>, node: Rc<Node>) {
    let running = world.nodes.borrow().iter().filter(|node| !node.is_down.get()).count();
    if running >= 6 {
        return;
    }
    let executor = &world.executor;
    Node::start(world, node.index);
    if executor.happens(0.5) {
        let until = executor.now() + executor.millis(10.0, 600.0);
        node.stopped_until.set(node.stopped_until.get().max(until));
    }
    let pause = executor.millis(50.0, 1_500.0);
    executor.spawn(None, async move {
        node.executor().sleep(pause).await;
        node.kill();
        node.is_gone.set(true);
    });
}
