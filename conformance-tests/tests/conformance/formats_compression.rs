//! Bodies that are compressed: <https://www.rfc-editor.org/rfc/rfc9110#section-8.4>

use std::io::{Read as _, Write as _};

use flate2::{Compression, GzBuilder, read::GzDecoder, write::GzEncoder};
use tessera_fixtures::patient;

use crate::space::{Space, on_each_backend, refused, send};

const CODINGS: [&str; 3] = ["gzip", "br", "zstd"];

fn compressed(coding: &str, bytes: &[u8]) -> Vec<u8> {
    match coding {
        "gzip" => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        "br" => {
            let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4096, 1, 22);
            encoder.write_all(bytes).unwrap();
            encoder.into_inner()
        }
        _ => zstd::encode_all(bytes, 1).unwrap(),
    }
}

fn decompressed(coding: &str, bytes: &[u8]) -> String {
    let mut text = String::new();
    match coding {
        "gzip" => GzDecoder::new(bytes).read_to_string(&mut text).map(|_| ()),
        "br" => brotli::Decompressor::new(bytes, 4096).read_to_string(&mut text).map(|_| ()),
        _ => zstd::decode_all(bytes).map(|bytes| text = String::from_utf8(bytes).unwrap()),
    }
    .unwrap();
    text
}

/// A patient whose representation is longer than what is worth compressing.
fn long(space: &Space) -> String {
    let mut builder = patient();
    for n in 0..20 {
        builder = builder.given(&format!("Name{n}{}", "x".repeat(100)));
    }
    space.add("long", builder.build())
}

// https://www.rfc-editor.org/rfc/rfc9110#section-12.5.3
#[test]
fn answers_are_compressed_as_the_client_accepts() {
    on_each_backend(|space| {
        let key = long(space);
        let plain = space.get(&key).expect_status(200);
        assert_eq!(plain.header("content-encoding"), None, "{plain}");
        for coding in CODINGS {
            let reply = send(space.request("GET", &key).header("accept-encoding", coding)).expect_status(200);
            assert_eq!(reply.header("content-encoding"), Some(coding), "{coding}");
            assert!(reply.bytes.len() < plain.bytes.len() / 2, "{coding}: {} bytes", reply.bytes.len());
            assert_eq!(decompressed(coding, &reply.bytes), plain.text, "{coding}");
            // A weak tag names the version in whatever coding.
            assert_eq!(reply.header("etag"), plain.header("etag"));
            let again = space.request("GET", &key).header("accept-encoding", coding).header("if-none-match", "W/\"1\"");
            send(again).assert_status(304);
        }
        let reply = send(space.request("GET", &key).header("accept-encoding", "gzip;q=0, br;q=0.5, compress"));
        assert_eq!(reply.header("content-encoding"), Some("br"));
        let reply = send(space.request("GET", &key).header("accept-encoding", "compress, identity")).expect_status(200);
        assert_eq!(reply.header("content-encoding"), None);
        let small = space.add("small", patient().build());
        let reply = send(space.request("GET", &small).header("accept-encoding", "gzip")).expect_status(200);
        assert_eq!(reply.header("content-encoding"), None, "{reply}");
        let xml = space.request("GET", &key).header("accept", "application/fhir+xml").header("accept-encoding", "gzip");
        assert!(decompressed("gzip", &send(xml).bytes).contains("<Patient xmlns"));
    });
}

// https://www.rfc-editor.org/rfc/rfc9110#section-8.4
#[test]
fn bodies_may_come_compressed() {
    on_each_backend(|space| {
        let body = space.tagged(patient().family("Chalmers").build()).to_string();
        for coding in CODINGS {
            let request = space.request("POST", "Patient").header("content-encoding", coding);
            let reply = send(request.body("application/fhir+json", compressed(coding, body.as_bytes())));
            assert_eq!(
                (reply.status, &reply.body["name"][0]["family"]),
                (201, &"Chalmers".into()),
                "{coding}: {reply}"
            );
        }
        let request = space.request("POST", "Patient").header("content-encoding", "identity");
        send(request.body("application/fhir+json", &*body)).assert_status(201);
        assert_eq!(space.search("Patient").entries().len(), 4);
    });
}

// https://www.rfc-editor.org/rfc/rfc9110#section-15.5.16: 415 for a coding that is not supported
#[test]
fn codings_that_are_not_known_are_415_and_broken_ones_400() {
    on_each_backend(|space| {
        let body = patient().json();
        for coding in ["compress", "x-unheard-of", "gzip, gzip", "gzip, br"] {
            let request = space.request("POST", "Patient").header("content-encoding", coding);
            let issue = refused(&send(request.body("application/fhir+json", &*body)), &[415]);
            assert!(issue.to_string().contains("Content-Encoding"), "{issue}");
        }
        for coding in CODINGS {
            println!("{coding}");
            let whole = compressed(coding, body.as_bytes());
            let half = whole[..whole.len() / 2].to_vec();
            for broken in [half, body.clone().into_bytes()] {
                let request = space.request("POST", "Patient").header("content-encoding", coding);
                refused(&send(request.body("application/fhir+json", broken)), &[400]);
            }
        }
    });
}

// HTTP-2: the limits are those of what comes out
#[test]
fn http_2_a_body_that_grows_beyond_the_limit_is_413() {
    on_each_backend(|space| {
        let start = format!("{{\"resourceType\":\"Patient\",\"language\":\"{}", "a".repeat(6 << 20));
        for coding in CODINGS {
            let bomb = compressed(coding, start.as_bytes());
            assert!(bomb.len() < 64 << 10, "{coding}: {} bytes", bomb.len());
            let request = space.request("POST", "Patient").header("content-encoding", coding);
            refused(&send(request.body("application/fhir+json", bomb)), &[413]);
        }
        // 300 MiB in a Bundle: not even its end is looked for.
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        let block = [b' '; 1 << 20];
        for _ in 0..300 {
            encoder.write_all(&block).unwrap();
        }
        let request = space.request("POST", "").header("content-encoding", "gzip");
        refused(&send(request.body("application/fhir+json", encoder.finish().unwrap())), &[413]);
    });
}

// HTTP-2: a coded body is at most a hundred times what was sent
#[test]
fn http_2_a_body_grows_a_hundredfold_and_not_a_byte_more() {
    on_each_backend(|space| {
        let coded = |sent: usize, bytes: usize| {
            let start = space.tagged(patient().build()).to_string();
            let body = format!("{start}{}", " ".repeat(bytes - start.len()));
            // The name of a file in the header of gzip makes it as long as it is to be.
            let length = |name: usize| {
                let mut encoder = GzBuilder::new().filename(vec![b'x'; name]).write(Vec::new(), Compression::best());
                encoder.write_all(body.as_bytes()).unwrap();
                encoder.finish().unwrap()
            };
            let gzip = length(sent - length(0).len());
            assert_eq!(gzip.len(), sent);
            let request = space.request("POST", "Patient").header("content-encoding", "gzip");
            send(request.body("application/fhir+json", gzip))
        };
        coded(1000, 100_000).assert_status(201);
        let issue = refused(&coded(1000, 100_001), &[413]);
        assert!(issue.to_string().contains("hundredfold"), "{issue}");
    });
}
