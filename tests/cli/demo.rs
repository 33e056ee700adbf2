//! The story that a new user sees first.

use crate::session::Session;

#[test]
fn the_story_holds() {
    let mut session = Session::new();
    let tmp = session.path("tmp");
    std::fs::create_dir(&tmp).unwrap();
    session.set("TMPDIR", tmp.to_str().unwrap());
    assert_eq!(session.run("demo").code, 0);
    assert_eq!(
        std::fs::read_dir(&tmp).unwrap().count(),
        0,
        "it left something behind"
    );
    assert!(!session.path(".driftline").exists());
    session.run("-o json demo");
    session.assert("demo");
}
