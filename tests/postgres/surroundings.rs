//! What a role, a database or a server make of a session does not matter.

use driftline::adapters::postgres::{PostgresDatabase, PostgresOptions};
use driftline::domain::{Epoch, Stream, genesis, link};
use driftline::ports::{
    Fault, ManifestStore, NewEntry, RecoveryStore as _, ShadowLedger as _, StateReader as _,
};
use futures::future::join_all;
use sqlx::{Connection as _, PgConnection, Row};

use crate::support::postgres::{Reached as _, claimed, run};
use crate::{committed, manifest, tenant};
use driftline_conformance::services::Pooler;
use driftline_conformance::services::{Cluster, Database};

/// Functions, operators and a type that stand in for those of the server, and are wrong.
const EVIL: &str = "CREATE SCHEMA evil; GRANT USAGE ON SCHEMA evil TO PUBLIC;
    CREATE FUNCTION evil.sha256(bytea) RETURNS bytea LANGUAGE sql AS $$ SELECT '\\x00'::bytea $$;
    CREATE FUNCTION evil.convert_to(text, text) RETURNS bytea LANGUAGE sql AS $$ SELECT '\\x01'::bytea $$;
    CREATE FUNCTION evil.int8send(bigint) RETURNS bytea LANGUAGE sql AS $$ SELECT '\\x02'::bytea $$;
    CREATE FUNCTION evil.octet_length(bytea) RETURNS integer LANGUAGE sql AS $$ SELECT 7 $$;
    CREATE FUNCTION evil.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS $$ SELECT '2001-01-01Z'::timestamptz $$;
    CREATE FUNCTION evil.set_config(text, text, boolean) RETURNS text LANGUAGE sql AS $$ SELECT 'no' $$;
    CREATE FUNCTION evil.current_setting(text) RETURNS text LANGUAGE sql AS $$ SELECT 'no' $$;
    CREATE FUNCTION evil.current_setting(text, boolean) RETURNS text LANGUAGE sql AS $$ SELECT 'no' $$;
    CREATE FUNCTION evil.gen_random_uuid() RETURNS uuid LANGUAGE sql AS $$ SELECT '00000000-0000-0000-0000-000000000000'::uuid $$;
    CREATE FUNCTION evil.joined(bytea, bytea) RETURNS bytea LANGUAGE sql AS $$ SELECT '\\x03'::bytea $$;
    CREATE FUNCTION evil.never(text, text) RETURNS boolean LANGUAGE sql AS $$ SELECT false $$;
    CREATE FUNCTION evil.never(bigint, bigint) RETURNS boolean LANGUAGE sql AS $$ SELECT false $$;
    CREATE FUNCTION evil.never(bytea, bytea) RETURNS boolean LANGUAGE sql AS $$ SELECT false $$;
    CREATE OPERATOR evil.|| (FUNCTION = evil.joined, LEFTARG = bytea, RIGHTARG = bytea);
    CREATE OPERATOR evil.= (FUNCTION = evil.never, LEFTARG = text, RIGHTARG = text);
    CREATE OPERATOR evil.= (FUNCTION = evil.never, LEFTARG = bytea, RIGHTARG = bytea);
    CREATE OPERATOR evil.> (FUNCTION = evil.never, LEFTARG = bigint, RIGHTARG = bigint);
    CREATE OPERATOR evil.= (FUNCTION = evil.never, LEFTARG = bigint, RIGHTARG = bigint)";

/// Settings that a role may come with; each has broken something.
const SETTINGS: [&str; 14] = [
    "search_path = evil, pg_catalog",
    "default_transaction_isolation = serializable",
    "default_transaction_read_only = on",
    "default_transaction_deferrable = on",
    "statement_timeout = 1",
    "lock_timeout = 1",
    "idle_in_transaction_session_timeout = 1",
    "row_security = off",
    "standard_conforming_strings = off",
    "DateStyle = 'German, DMY'",
    "TimeZone = 'Asia/Kathmandu'",
    "IntervalStyle = iso_8601",
    "bytea_output = escape",
    "synchronous_commit = off",
];

async fn spoil(database: &Database, role: &str) {
    let mut admin = database.connect("postgres").await;
    for setting in SETTINGS {
        run(&mut admin, format!("ALTER ROLE {role} SET {setting}")).await;
    }
}

/// Writes and reads back what a chain is made of.
async fn assert_sound(store: &PostgresDatabase, name: &str) {
    let tenant = tenant(name);
    let mut chain = genesis(&tenant, Stream::Manifests);
    for number in 1..=3 {
        let plain = manifest(&number.to_string());
        let entry = NewEntry {
            idempotency_key: (number == 3).then(|| "key".parse().unwrap()),
            ..plain
        };
        let meta = committed(store.append(&tenant, &entry).await.unwrap());
        assert_eq!(meta.seq.get(), number);
        chain = link(
            chain,
            meta.seq,
            meta.epoch,
            meta.committed_at,
            entry.identity(),
        );
        assert_eq!(meta.chain, chain, "version {number}");
    }
    let stored = store.active_manifest(&tenant).await.unwrap().unwrap();
    assert_eq!(stored.entry.meta.chain, chain);
    let pending = store
        .pending(
            &tenant,
            Stream::Manifests,
            driftline::domain::Seq::new(0),
            10,
            1 << 20,
        )
        .await
        .unwrap();
    assert_eq!(pending.len(), 3);
    assert_eq!(
        store
            .history(&tenant, Stream::Manifests, None, 9)
            .await
            .unwrap()
            .len(),
        3
    );
    assert_eq!(store.backlog().await.unwrap().ready, 1);
    assert_eq!(
        store.status(None, None, 9).await.unwrap()[0]
            .at_risk
            .entries,
        3
    );
    let (documents, _) = store.documents(&[tenant.into()], 1 << 20).await.unwrap();
    assert_eq!(documents.len(), 1);
}

#[tokio::test]
async fn functions_and_operators_of_others_damage_no_chain() {
    let database = Cluster::shared().database();
    run(&mut database.connect("postgres").await, EVIL.to_owned()).await;
    spoil(&database, &database.owner()).await;
    spoil(&database, &database.app()).await;
    // The migrations find the server's own as well.
    let owner = database.adapter(&database.owner()).await;
    owner.migrate().await.unwrap();
    let reset = format!("ALTER ROLE {} RESET ALL", database.owner());
    run(&mut database.connect("postgres").await, reset).await;
    database.migrate().await;
    let store = database.adapter(&database.app()).await;
    let identity = store.identity().await.unwrap();
    assert!(!identity.id.id.is_nil());
    let bucket = driftline::domain::BucketId(uuid::Uuid::from_u128(0xB0));
    store.claim(None, bucket, Epoch::FIRST).await.unwrap();
    assert_sound(&store, "acme").await;
}

#[tokio::test]
async fn functions_are_right_for_whoever_calls_them() {
    let (database, store) = claimed().await;
    let mut other = database.connect("postgres").await;
    run(&mut other, EVIL.to_owned()).await;
    let meta = committed(store.append(&tenant("acme"), &manifest("1")).await.unwrap());
    run(&mut other, "SET search_path = evil, pg_catalog".to_owned()).await;
    // As an older driftline does, or somebody by hand.
    let call = "SELECT a.chain FROM driftline.read('acme', 0::smallint, 1) a";
    let row = sqlx::query(call).fetch_one(&mut other).await.unwrap();
    assert_eq!(row.get::<Vec<u8>, _>("chain"), meta.chain.as_bytes());
    let genesis = sqlx::query("SELECT driftline.genesis('acme', 'manifests') AS chain");
    let row = genesis.fetch_one(&mut other).await.unwrap();
    assert_eq!(
        row.get::<Vec<u8>, _>("chain"),
        driftline::domain::genesis(&tenant("acme"), Stream::Manifests).as_bytes()
    );
    run(&mut other, "RESET search_path".to_owned()).await;
    let bare = "SELECT p.proname::text FROM pg_proc p WHERE p.pronamespace = 'driftline'::regnamespace
        AND p.prosqlbody IS NULL AND NOT coalesce(p.proconfig::text LIKE '%search_path=pg_catalog, pg_temp%', false)";
    let bare = sqlx::query(bare).fetch_all(&mut other).await.unwrap();
    let bare: Vec<String> = bare.iter().map(|row| row.get(0)).collect();
    assert!(
        bare.is_empty(),
        "without a search path of their own: {bare:?}"
    );
}

#[tokio::test]
async fn a_write_that_is_acknowledged_is_on_the_disk() {
    let (database, _) = claimed().await;
    spoil(&database, &database.app()).await;
    let mut admin = database.connect("postgres").await;
    let watch = "CREATE TABLE seen (name text, value text); GRANT ALL ON seen TO PUBLIC;
        CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO public.seen SELECT name, setting FROM pg_catalog.pg_settings WHERE name IN ('synchronous_commit',
                'transaction_isolation', 'statement_timeout', 'lock_timeout', 'row_security');
            RETURN NEW; END $$;
        CREATE TRIGGER watch AFTER INSERT ON driftline.entry FOR EACH ROW EXECUTE FUNCTION watch()";
    run(&mut admin, watch.to_owned()).await;
    let store = database.adapter(&database.app()).await;
    committed(store.append(&tenant("acme"), &manifest("1")).await.unwrap());
    let rows = sqlx::query("SELECT name, value FROM seen ORDER BY name");
    let rows = rows.fetch_all(&mut admin).await.unwrap();
    let rows: Vec<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let wanted = [
        ("lock_timeout", "10000"),
        ("row_security", "on"),
        ("statement_timeout", "30000"),
        ("synchronous_commit", "on"),
        ("transaction_isolation", "read committed"),
    ];
    assert_eq!(
        rows,
        wanted.map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_wait_for_each_other_under_any_default_isolation() {
    for level in ["serializable", "repeatable read"] {
        let (database, _) = claimed().await;
        let setting = format!(
            "ALTER DATABASE {} SET default_transaction_isolation = '{level}'",
            database.name()
        );
        run(&mut database.connect("postgres").await, setting).await;
        let pooler = Pooler::start(&Cluster::shared().address(), &database, 4, "");
        let through = format!(
            "{}?statement-cache-capacity=0",
            pooler.url(&database.app(), database.name())
        );
        for url in [database.url(&database.app()), through] {
            let store = PostgresDatabase::connect(&url, PostgresOptions::default())
                .await
                .unwrap();
            let writers = (0..8).map(|_| {
                let store = store.clone();
                tokio::spawn(async move {
                    for number in 0..10 {
                        let entry = manifest(&number.to_string());
                        committed(store.append(&tenant("acme"), &entry).await.unwrap());
                    }
                })
            });
            for writer in join_all(writers).await {
                writer.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn another_encoding_is_refused_by_its_name() {
    let mut admin = PgConnection::connect(&Cluster::shared().admin())
        .await
        .unwrap();
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let name = format!("in_{}", encoding.to_lowercase());
        let create =
            format!("CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0");
        run(&mut admin, create).await;
        let admin = Cluster::shared().admin();
        let url = format!("{}/{name}", admin.rsplit_once('/').unwrap().0);
        let store = PostgresDatabase::connect(&url, PostgresOptions::default())
            .await
            .unwrap();
        for error in [
            store.migrate().await.unwrap_err(),
            store.identity().await.unwrap_err(),
        ] {
            assert_eq!(error.fault(), Fault::Refused);
            let wanted =
                format!("`{name}` is encoded in {encoding}, and driftline needs one in UTF8");
            assert!(error.report().contains(&wanted), "{}", error.report());
        }
    }
}

#[tokio::test]
async fn names_are_in_the_order_of_their_bytes_whatever_the_collation() {
    let mut admin = PgConnection::connect(&Cluster::shared().admin())
        .await
        .unwrap();
    let create = "CREATE DATABASE collated ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C' TEMPLATE template0";
    run(&mut admin, create.to_owned()).await;
    let url = format!(
        "{}/collated",
        Cluster::shared().admin().rsplit_once('/').unwrap().0
    );
    let store = PostgresDatabase::connect(&url, PostgresOptions::default())
        .await
        .unwrap();
    store.migrate().await.unwrap();
    let bucket = driftline::domain::BucketId(uuid::Uuid::from_u128(0xB0));
    store.claim(None, bucket, Epoch::FIRST).await.unwrap();
    let names = ["A-b", "Aa", "B", "a", "a-b", "a.b", "aB", "a_b", "ab"];
    for name in names {
        committed(store.append(&tenant(name), &manifest("1")).await.unwrap());
    }
    let mut found: Vec<String> = Vec::new();
    loop {
        let after = found.last().map(|name| tenant(name));
        let page = store.tenants(after.as_ref(), 2).await.unwrap();
        if page.is_empty() {
            break;
        }
        found.extend(page.iter().map(|state| state.tenant.to_string()));
    }
    assert_eq!(found, names);
}
