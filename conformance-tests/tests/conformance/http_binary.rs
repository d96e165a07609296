//! Content that is no resource: <https://hl7.org/fhir/R4/binary.html#rest>

use conformance_tests::Reply;
use serde_json::json;
use tessera_fixtures::{patient, resource};

use crate::space::{Space, bare_entry, bundle, entry, on_each_backend, refused, run, send};

const TEXT: &str = "text/plain; charset=\"UTF-8\"";

/// Sends content, and returns the key of the Binary that it became.
fn upload(space: &Space, media_type: &str, content: &str) -> String {
    let created = send(space.request("POST", "Binary").body(media_type, content)).expect_status(201);
    assert_eq!(created.text, "", "nobody wants back what was just sent: {created}");
    format!("Binary/{}", created.id())
}

fn download(space: &Space, path: &str, accept: &str) -> Reply {
    send(space.request("GET", path).header("accept", accept)).expect_status(200)
}

// "the content … SHOULD be returned using the content type stated in the resource"
#[test]
fn content_comes_back_as_it_was_sent() {
    on_each_backend(|space| {
        let key = upload(space, TEXT, "Grüße <script>alert(1)</script>");
        for accept in ["*/*", "text/plain", "text/*;q=0.5", "image/png", "text/html, application/xml;q=0.9, */*;q=0.8"]
        {
            for path in [key.clone(), format!("{key}/_history/1"), format!("{key}?_format=text/plain")] {
                let reply = download(space, &path, accept);
                assert_eq!(reply.text, "Grüße <script>alert(1)</script>", "{accept}");
                assert_eq!(reply.header("content-type"), Some(TEXT), "{accept}");
                assert_eq!(reply.header("etag"), Some("W/\"1\""));
                // A browser keeps it and does nothing with it.
                assert_eq!(reply.header("content-disposition"), Some("attachment"));
                assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
                assert!(reply.header("content-security-policy").is_some_and(|policy| policy.contains("sandbox")));
            }
        }
        let none = send(space.request("GET", &key).without_header("accept")).expect_status(200);
        assert_eq!(none.header("content-type"), Some(TEXT));
        let head = send(space.request("HEAD", &key).header("accept", "*/*")).expect_status(200);
        assert_eq!((head.header("content-type"), &*head.text), (Some(TEXT), ""));
        assert_eq!(head.header("content-length"), none.header("content-length"));
        let unmodified = space.request("GET", &key).header("accept", "*/*").header("if-none-match", "W/\"1\"");
        assert_eq!(send(unmodified).expect_status(304).text, "");
    });
}

// "only when the FHIR content types are explicitly requested"
#[test]
fn the_resource_comes_when_a_format_of_fhir_is_named() {
    on_each_backend(|space| {
        let key = upload(space, "image/png", "no picture");
        for (path, accept) in [
            (key.clone(), "application/fhir+json"),
            (key.clone(), "image/png, application/fhir+json;q=0.1"),
            (format!("{key}?_format=json"), "image/png"),
            // Who takes JSON and no image is not sent one.
            (key.clone(), "application/json"),
        ] {
            let reply = download(space, &path, accept);
            assert_eq!(reply.body["resourceType"], "Binary", "{accept}: {reply}");
            assert_eq!(
                (&reply.body["contentType"], &reply.body["data"]),
                (&json!("image/png"), &json!("bm8gcGljdHVyZQ==")),
                "{reply}"
            );
        }
        refused(&send(space.request("GET", &format!("{key}x")).header("accept", "image/png")), &[404]);
        refused(&send(space.request("GET", "Binary").header("accept", "image/png")), &[406]);
    });
}

// "including when the content type is application/fhir+json, except … where the content is actually a Binary resource"
#[test]
fn json_is_content_unless_it_is_a_binary() {
    on_each_backend(|space| {
        let json = upload(space, "application/json", "[1.0, 2]");
        assert_eq!(download(space, &json, "*/*").text, "[1.0, 2]");
        let person = patient().build();
        let key = upload(space, "application/fhir+json", &person.to_string());
        let reply = download(space, &key, "*/*");
        assert_eq!((reply.header("content-type"), &reply.body), (Some("application/fhir+json"), &person));
        let binary = resource("Binary").set("contentType", "text/plain").set("data", "aGVs\nbG8=").build();
        let created = space.post("Binary", &binary).expect_status(201);
        assert_eq!(created.body["contentType"], "text/plain", "{created}");
        assert_eq!(download(space, &format!("Binary/{}", created.id()), "*/*").text, "hello");
        let broken = space.request("POST", "Binary").body("application/fhir+json", "{\"resourceType\":\"Binary\"");
        refused(&send(broken), &[400]);
        refused(&send(space.request("POST", "Patient").body("text/plain", "x")), &[415]);
    });
}

// Update: as any resource
#[test]
fn content_can_be_replaced_under_its_id() {
    on_each_backend(|space| {
        let key = format!("Binary/{}", space.tag);
        let put = |content: &str, tag: &str| {
            send(space.request("PUT", &key).header("if-none-match", tag).body("text/csv", content))
        };
        put("a,b", "*").assert_status(201);
        refused(&put("c,d", "*"), &[412]);
        assert_eq!(put("c,d", "W/\"9\"").expect_status(200).version(), 2);
        assert_eq!(put("c,d", "W/\"9\"").expect_status(200).version(), 2, "the same content makes no version");
        assert_eq!(download(space, &key, "*/*").text, "c,d");
        assert_eq!(download(space, &format!("{key}/_history/1"), "*/*").text, "a,b");
        put("", "W/\"9\"").assert_status(200);
        assert_eq!(download(space, &key, "*/*").text, "");
        space.delete(&key).assert_status(204);
        refused(&send(space.request("GET", &key).header("accept", "*/*")), &[410]);
    });
}

// https://hl7.org/fhir/R4/binary.html#security
#[test]
fn the_security_context_is_kept() {
    on_each_backend(|space| {
        let eve = space.add("eve", patient().build());
        let request = space.request("POST", "Binary").header("x-security-context", &eve).body("text/plain", "x");
        let key = format!("Binary/{}", send(request).expect_status(201).id());
        assert_eq!(download(space, &key, "*/*").header("x-security-context"), Some(&*eve));
        assert_eq!(space.get(&key).body["securityContext"]["reference"], eve);
        let binary = resource("Binary").set("contentType", "text/plain").build();
        refused(&send(space.request("POST", "Binary").header("x-security-context", &eve).json(&binary)), &[400]);
    });
}

// Bundles hold resources
#[test]
fn in_a_bundle_it_is_a_resource() {
    on_each_backend(|space| {
        let binary = resource("Binary").set("contentType", "text/plain").set("data", "aGVsbG8=").build();
        let made = space.post("", &bundle("transaction", &[entry("POST", "Binary", &binary)])).expect_status(200);
        let location = made.entries()[0]["response"]["location"].as_str().unwrap().to_owned();
        assert_eq!(download(space, &location, "*/*").text, "hello");
        let key = location.strip_prefix(&format!("{}/", space.base)).unwrap().split("/_history").next().unwrap();
        let read =
            send(space.request("POST", "").header("accept", "*/*").json(&bundle("batch", &[bare_entry("GET", key)])));
        assert_eq!(read.entries()[0]["resource"]["data"], "aGVsbG8=", "{read}");
    });
}

// https://hl7.org/fhir/R4/http.html#Status-Codes: 413
#[test]
fn content_has_a_largest_size_and_comes_back_as_a_resource_too() {
    on_each_backend(|space| {
        let most = "x".repeat(5 * 1024 * 1024);
        let key = upload(space, "text/plain", &most);
        assert_eq!(download(space, &key, "*/*").text.len(), most.len());
        // As JSON it is larger by a third, and can be written so.
        let mut read = space.get(&key).expect_status(200).body;
        read["contentType"] = json!("text/x");
        assert_eq!(space.put(&key, &read).expect_status(200).version(), 2);
        let key = format!("Binary/{}", space.tag);
        // The server may answer and hang up before it has got everything.
        if let Ok(reply) = run(space.request("PUT", &key).body("text/plain", format!("{most}x")).try_send()) {
            refused(&reply, &[413]);
        }
        refused(&space.get(&key), &[404]);
    });
}
