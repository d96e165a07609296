//! What operators do by commands is recorded as what is done over HTTP: AUD-1.

use conformance_tests::{Backend, Client, Database, Folder, Server};
use serde_json::Value;

/// The events of a command, the oldest first: type, subtype, action, and the object.
async fn events(client: &Client, command: &str) -> Vec<String> {
    let search = format!("AuditEvent?altid={}&_sort=date", command.replace(' ', "%20"));
    let found = client.get(&search).await.expect_status(200);
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let said = |event: &&Value| {
        let object = text(&event["entity"][0]["what"]["identifier"]["value"]);
        let (of_type, subtype) = (text(&event["type"]["code"]), text(&event["subtype"][0]["code"]));
        format!("{of_type} {subtype} {} {object}", text(&event["action"]))
    };
    found.resources().iter().map(said).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn aud_1_what_commands_do_to_keys_and_to_everything_is_recorded() {
    for backend in Backend::ALL {
        let Some(database) = Database::create(backend, "aud_1_commands") else { continue };
        // The first keys are made by a server.
        assert!(database.serve_with_authentication(&[]).stop().success());
        for _ in 0..2 {
            drop(database.run(&["keys", "rotate"], ""));
            drop(database.run(&["keys", "list"], ""));
        }
        let folder = Folder::new("moved");
        let backup = folder.path().join("backup");
        drop(database.run(&["backup", "--output", backup.to_str().unwrap()], ""));
        let moved = format!("sqlite:{}", folder.path().join("moved.db").display());
        drop(database.run(&["migrate-to", &moved, "--verify"], ""));

        let server = database.serve(&[]);
        let client = server.client();
        // The second rotation found that the next keys wait already.
        assert_eq!(events(&client, "tessera keys").await, ["110113 110129 C /auth/jwks"], "{backend}");
        assert_eq!(events(&client, "tessera backup").await, ["110106 archive R -"], "{backend}");
        assert_eq!(events(&client, "tessera migrate-to").await, ["110106 archive R -"], "{backend}");
        let server = Server::start_with(&moved, &[]);
        let client = server.client();
        // What was moved came with its record.
        assert_eq!(events(&client, "tessera keys").await.len(), 1, "{backend}");
        assert_eq!(events(&client, "tessera migrate-to").await, ["110107 restore C -"], "{backend}");
    }
}
