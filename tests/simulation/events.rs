//! What befalls the world as a whole: databases and buckets that are replaced, clocks that jump, partitions.

use std::sync::Arc;
use std::time::Duration;

use driftline::domain::format::{parse_snapshot_key, snapshot_key};
use driftline::domain::{Seq, Stream};
use driftline::hybrid::OnFailover;
use driftline::ports::{ManifestStore as _, SnapshotStore as _};
use tokio::time::sleep;

use crate::world::{Node, World, now};

/// Lets a few of them happen, one after the other.
pub async fn befall(world: Arc<World>) {
    let events = *world.draws.pick(&[0, 1, 1, 2, 3]);
    for _ in 0..events {
        sleep(world.draws.millis(300, 3500)).await;
        match world.draws.below(9) {
            0 | 1 => fail_over(&world).await,
            2 | 3 => restore_backup(&world).await,
            4 | 5 => lose_database(&world),
            6 => replace_bucket(&world).await,
            7 => jump(&world),
            _ => cut_off(&world),
        }
    }
}

/// Disks rot: objects and rows are lost or damaged, now and then.
pub async fn decay(world: Arc<World>) {
    for _ in 0..world.draws.between(1, 3) {
        sleep(world.draws.millis(500, 4000)).await;
        rot(&world);
    }
}

/// One object or one row is lost or damaged; sometimes an entry on both sides.
pub fn rot(world: &Arc<World>) {
    let (draws, node) = (&world.draws, world.current());
    let tenant = draws.pick(&world.tenants);
    let stream = *draws.pick(&Stream::ALL);
    let state = crate::model::state(&node, tenant);
    let head = state.map_or(0, |status| status.state.heads[stream].seq.get());
    let seq = Seq::new(draws.between(1, head.max(1)));
    let kind = draws.below(10);
    if kind < 6 {
        let listed = now(world.bucket.list(&format!("{tenant}/"), None, 1000));
        let listed = listed.expect("a bucket in memory never fails").objects;
        let is_index = |key: &String| parse_snapshot_key(key).is_none();
        let indexes_only = draws.chance(0.4);
        let keys: Vec<String> = (listed.into_iter().map(|it| it.key))
            .filter(|key| !indexes_only || is_index(key))
            .collect();
        if !keys.is_empty() {
            let key: &String = draws.pick(&keys);
            rot_object(world, key, kind < 3);
        }
    } else if head > 0 {
        world.say("world", &format!("{stream} {seq} of {tenant} rots"));
        let row = now(node.database.entry(tenant, stream, seq));
        let row = row.expect("a database in memory never fails");
        if kind == 7 {
            let content = r#"{"schemaVersion":"rotten"}"#;
            node.database.damage_row(tenant, stream, seq, content);
        } else {
            node.database.lose_row(tenant, stream, seq);
        }
        world.watch(|model| {
            model.row_rotten(&world.bucket, &node, tenant, stream, seq);
            Ok(())
        });
        if let Some(row) = row.filter(|_| kind == 9) {
            let key = snapshot_key(tenant, stream, seq, row.entry.meta.epoch);
            rot_object(world, &key, draws.chance(0.5));
        }
    }
}

fn rot_object(world: &Arc<World>, key: &str, flip: bool) {
    let Some(bytes) = world.bucket.remove(key) else {
        return;
    };
    if flip {
        let mut bytes = bytes.to_vec();
        let last = u64::try_from(bytes.len()).expect("small");
        let at = usize::try_from(world.draws.below(last)).expect("small");
        bytes[at] ^= 1 << world.draws.below(7);
        world.bucket.insert(key, bytes);
    }
    world.say("world", &format!("{key} rots; flipped: {flip}"));
    let node = world.current();
    world.watch(|model| {
        model.object_rotten(&world.bucket, &node, key);
        Ok(())
    });
}

/// A replica that lagged is promoted. Where a failover is trusted it did not lag, and nobody writes to the old one any more.
async fn fail_over(world: &Arc<World>) {
    let (before, replica) = (world.current(), world.current().database.fork());
    if world.settings.on_failover == OnFailover::Trust {
        let old = world.replace_database("a synchronous replica is promoted", replica);
        for process in world.processes() {
            if !process.name.starts_with("replicator") {
                process.killed.cancel();
            }
        }
        leave_some_behind(world, &old);
        return;
    }
    sleep(world.draws.millis(0, 1500)).await;
    if Arc::ptr_eq(&before, &world.current()) {
        let old = world.replace_database("a replica is promoted", replica);
        leave_some_behind(world, &old);
    }
}

/// A backup is restored, and nothing tells: the identity is the same.
async fn restore_backup(world: &Arc<World>) {
    let (before, backup) = (world.current(), world.current().database.backup());
    sleep(world.draws.millis(0, 1500)).await;
    if Arc::ptr_eq(&before, &world.current()) {
        let old = world.replace_database("a backup is restored", backup);
        leave_some_behind(world, &old);
    }
}

/// The database is gone; an empty one is set up.
pub fn lose_database(world: &Arc<World>) {
    let old = world.replace_database("an empty one is set up", world.fresh_database());
    leave_some_behind(world, &old);
}

/// Some processes stay connected to the old database for a while: it is only believed to be gone. Of the others some notice
/// that their connection ended, and start anew.
fn leave_some_behind(world: &Arc<World>, old: &Arc<Node>) {
    for process in world.processes() {
        match world.draws.below(3) {
            0 => {
                process.say(&format!("stays with {}", old.name));
                process.stay_with(old);
                let (life, killed) = (world.draws.millis(1000, 12_000), process.killed.clone());
                world.spawn(async move {
                    sleep(life).await;
                    killed.cancel();
                });
            }
            1 => process.killed.cancel(),
            _ => {}
        }
    }
}

/// The bucket is restored from an older copy, by somebody who stops everything first.
async fn replace_bucket(world: &Arc<World>) {
    let copy = world.copy_bucket();
    sleep(world.draws.millis(0, 2500)).await;
    for process in world.processes() {
        process.killed.cancel();
    }
    world.replace_bucket(copy);
}

fn jump(world: &Arc<World>) {
    let micros = world.draws.below(20_000_000).cast_signed() - 10_000_000;
    world.say("world", &format!("clocks jump by {micros} µs"));
    world.server_clock.jump(micros);
    for process in world.processes() {
        if world.draws.chance(0.5) {
            process.jump(-micros);
        }
    }
}

/// A process is cut off for longer than its lease, and goes on as if nothing had been.
fn cut_off(world: &Arc<World>) {
    let processes = world.processes();
    if !processes.is_empty() {
        let process = world.draws.pick(&processes);
        process.say("is cut off");
        process
            .stall(world.settings.lease + world.draws.millis(0, 4000) + Duration::from_millis(1));
    }
}
