//! Who is at work, and how many of each. Whoever wants to take part is added to [`ACTORS`].

mod keeper;
mod operator;
mod reader;
mod writer;

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

pub use self::keeper::{mend, verify};
pub use self::operator::{act, recover_all};
pub use self::writer::{content, write_a_page};
use crate::process::Process;
use crate::world::World;

/// A kind of process. It runs until it returns, or until it is killed; a killed one starts anew, as another process.
pub struct Actor {
    pub name: &'static str,
    pub count: u64,
    pub run: fn(Arc<Process>) -> BoxFuture<'static, ()>,
}

pub const ACTORS: &[Actor] = &[
    Actor {
        name: "writer",
        count: 2,
        run: |process| writer::write(process).boxed(),
    },
    Actor {
        name: "replicator",
        count: 2,
        run: |process| replicate(process).boxed(),
    },
    Actor {
        name: "reader",
        count: 1,
        run: |process| reader::read(process).boxed(),
    },
    Actor {
        name: "operator",
        count: 1,
        run: |process| operator::operate(process).boxed(),
    },
    Actor {
        name: "keeper",
        count: 1,
        run: |process| keeper::keep(process).boxed(),
    },
];

/// Shadows for as long as the process lives.
async fn replicate(process: Arc<Process>) {
    process
        .repository()
        .replicate(CancellationToken::new())
        .await;
}

/// Starts everybody.
pub fn start(world: &Arc<World>) {
    for actor in ACTORS {
        for number in 0..actor.count {
            let world_of_it = Arc::clone(world);
            world.spawn(supervise(world_of_it, actor, number));
        }
    }
}

async fn supervise(world: Arc<World>, actor: &'static Actor, number: u64) {
    for life in 0.. {
        let process = Process::new(&world, format!("{}-{number}.{life}", actor.name));
        world.add(&process);
        tokio::select! {
            biased;
            () = process.killed.cancelled() => {}
            () = (actor.run)(Arc::clone(&process)) => return,
        }
        process.say("is gone");
        sleep(world.draws.millis(5, 400)).await;
    }
}
