//! Processes that audit on schedules, one of them killed.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Child;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use sqlx::PgConnection;
use tokio::time::{Instant, sleep};

use super::site::Site;
use crate::support::pairs::Kind;
use crate::support::postgres::Reached as _;

const TENANTS: [&str; 3] = ["acme", "beta", "gamma"];

/// Observes for as long as there is a file `hold`, and tells when two do so at once.
const OBSERVE: &str = "mkdir busy-$1 || echo $1 >> overlaps
while [ -e hold ]; do sleep 0.02; done
cat live-$1.json
rmdir busy-$1
";

/// A process that audits. It goes with its value.
struct Server {
    child: Child,
    name: &'static str,
}

impl Server {
    fn start(site: &Site, name: &'static str) -> Self {
        let file = |what: &str| File::create(site.pair.directory().join(format!("{name}.{what}")));
        let mut command = site.command("audit serve -o ndjson");
        command
            .stdout(file("out").unwrap())
            .stderr(file("err").unwrap());
        let child = command.spawn().unwrap();
        Self { child, name }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Whether it is on its way: SIGTERM would end it in the default way before.
    fn catches_signals(&self) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        u64::from_str_radix(caught.unwrap().trim(), 16).unwrap() & (1 << 14) != 0
    }

    /// The identifiers of the reports that it printed.
    fn printed(&self, site: &Site) -> BTreeSet<String> {
        let printed =
            std::fs::read_to_string(site.pair.directory().join(format!("{}.out", self.name)));
        let printed = printed.unwrap();
        // The last line may be on its way.
        let lines = printed
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'));
        lines
            .map(|line| id(&serde_json::from_str(line).unwrap()))
            .collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn id(report: &Value) -> String {
    report["id"].as_str().unwrap().to_owned()
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !holds().await {
        assert!(
            started.elapsed() < Duration::from_mins(1),
            "not {what} after a minute"
        );
        sleep(Duration::from_millis(20)).await;
    }
}

/// How many tenants this is true of.
async fn tenants(connection: &mut PgConnection, condition: &'static str) -> i64 {
    let query = format!("SELECT count(*) FROM driftline.audited WHERE {condition}");
    let count = sqlx::query_scalar(sqlx::AssertSqlSafe(query)).fetch_one(connection);
    count.await.unwrap()
}

async fn reports(connection: &mut PgConnection) -> Vec<(String, String, i64)> {
    let query = "SELECT tenant, id::text, (extract(epoch FROM at) * 1000000)::bigint FROM driftline.report ORDER BY at";
    sqlx::query_as(query).fetch_all(connection).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn audits_go_on_without_a_process_that_is_killed_and_never_twice_at_once() {
    let site = Site::new(Kind::Services).await;
    for name in TENANTS {
        site.tenant(name).await;
    }
    site.write("observe.sh", OBSERVE);
    site.write(
        "driftline.toml",
        "[audit]\nsource = \"exec:sh observe.sh {tenant}\"\nevery-seconds = 3\njitter-seconds = 0\n",
    );
    let database = &mut site.pair.server().unwrap().connect("postgres").await;
    site.run(0, "audit run").await;
    let due = "next_at <= clock_timestamp()";
    until("due again", async || tenants(database, due).await == 3).await;

    // It dies in the middle of every audit that there is, while another one serves.
    site.write("hold", "");
    let mut killed = Server::start(&site, "killed");
    let claimed = "claim_until > clock_timestamp()";
    until("claimed", async || tenants(database, claimed).await == 3).await;
    let other = Server::start(&site, "other");
    until("listening", async || other.catches_signals()).await;
    killed.signal(Signal::KILL);
    assert_eq!(killed.child.wait().unwrap().signal(), Some(9));
    assert_eq!(killed.printed(&site), BTreeSet::new());

    // What it ran to observe outlives it. Its claims would for three minutes.
    std::fs::remove_file(site.pair.directory().join("hold")).unwrap();
    until("released", async || {
        !TENANTS
            .iter()
            .any(|name| site.pair.directory().join(format!("busy-{name}")).exists())
    })
    .await;
    let expire = "UPDATE driftline.audited SET claim_until = clock_timestamp() WHERE claim_until > clock_timestamp()";
    let expired = sqlx::query(expire).execute(&mut *database).await.unwrap();
    assert_eq!(expired.rows_affected(), 3);
    let replacement = Server::start(&site, "replacement");
    until("audited by both", async || {
        [&other, &replacement]
            .iter()
            .all(|server| server.printed(&site).len() >= 3)
    })
    .await;

    let mut servers = [other, replacement];
    let asked = Instant::now();
    for server in &servers {
        server.signal(Signal::TERM);
    }
    for server in &mut servers {
        assert_eq!(
            server.child.wait().unwrap().code(),
            Some(130),
            "{}",
            server.name
        );
    }
    assert!(
        asked.elapsed() < Duration::from_secs(10),
        "{:?}",
        asked.elapsed()
    );

    let overlaps = std::fs::read_to_string(site.pair.directory().join("overlaps"));
    assert!(overlaps.is_err(), "observed twice at once: {overlaps:?}");
    let reports = reports(database).await;
    let [first, second] = servers.map(|server| server.printed(&site));
    assert!(first.is_disjoint(&second));
    let served: BTreeSet<String> = first.union(&second).cloned().collect();
    // The first three are those of `audit run`.
    let kept: BTreeSet<String> = reports[3..].iter().map(|(_, id, _)| id.clone()).collect();
    assert_eq!(served, kept);
    for name in TENANTS {
        let times: Vec<i64> = reports
            .iter()
            .filter(|(tenant, ..)| tenant == name)
            .map(|(.., at)| *at)
            .collect();
        assert!(times.len() >= 3, "{name}: {times:?}");
        assert!(
            times.windows(2).all(|pair| pair[0] < pair[1]),
            "{name}: {times:?}"
        );
        // Each claim but that of the process that died ended as a report.
        let fence: i64 = sqlx::query_scalar(
            "SELECT fence FROM driftline.audited WHERE tenant = $1 AND claim_until IS NULL",
        )
        .bind(name)
        .fetch_one(&mut *database)
        .await
        .unwrap();
        assert_eq!(fence, i64::try_from(times.len()).unwrap() + 1, "{name}");
    }
}
