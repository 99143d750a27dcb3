//! Files of data sets.

use std::fs;

use taskvec_core::{Error, Hub, HubError, HubSettings};

use super::scratch;
use super::server::{COMMIT, Server};

/// The file of that ending.
fn ending(ending: &str) -> impl Fn(&[String]) -> Option<String> {
    move |files| files.iter().find(|name| name.ends_with(ending)).cloned()
}

#[test]
fn one_file_of_a_data_set_comes_and_is_found_again_offline() {
    let scratch = scratch(|_| {});
    let server = Server::of(&scratch.source);
    server.change(|state| {
        for (name, text, large) in [
            ("README.md", "a card", false),
            ("p2/test.jsonl", "{}", true),
            ("main/test.jsonl", "[]", false),
        ] {
            let file = (text.as_bytes().to_vec(), large);
            state.files.insert(name.into(), file);
        }
    });
    let hub = Hub::new(server.settings(&scratch.cache), |_| {});
    let fetch = |hub: &Hub, end: &str| hub.fetch_data("org/name", "main", &ending(end));
    let path = fetch(&hub, "p2/test.jsonl").unwrap().unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "{}");
    let repository = scratch.cache.join("datasets--org--name");
    let snapshot = repository.join("snapshots").join(COMMIT);
    assert_eq!(path, snapshot.join("p2/test.jsonl"));
    // Relative, so that the cache may be moved.
    assert!(fs::read_link(&path).unwrap().starts_with("../../../blobs"));
    assert!(!snapshot.join("README.md").exists());
    assert_eq!(fetch(&hub, ".parquet").unwrap(), None);
    let small = fetch(&hub, "main/test.jsonl").unwrap().unwrap();
    assert_eq!(fs::read_to_string(small).unwrap(), "[]");

    let offline = Hub::new(
        HubSettings {
            offline: true,
            ..server.settings(&scratch.cache)
        },
        |_| {},
    );
    assert_eq!(fetch(&offline, "p2/test.jsonl").unwrap(), Some(path));
    assert_eq!(fetch(&offline, "README.md").unwrap(), None);
    let other = offline.fetch_data("org/other", "main", &ending("x"));
    match other {
        Err(Error::Hub { reference, source }) => {
            assert_eq!(reference, "hf:datasets/org/other@main");
            assert!(matches!(source, HubError::NotCached { .. }), "{source}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_name_that_leads_out_of_the_cache_is_never_offered() {
    let scratch = scratch(|_| {});
    let server = Server::of(&scratch.source);
    server.change(|state| {
        for name in ["../../../x", "/x", "a//x", "a/./x", "C:/x", "fine/x"] {
            state.files.insert(name.into(), (b"x".to_vec(), false));
        }
    });
    let hub = Hub::new(server.settings(&scratch.cache), |_| {});
    let offered = std::sync::Mutex::new(Vec::new());
    hub.fetch_data("org/name", "main", &|files| {
        offered.lock().unwrap().extend_from_slice(files);
        None
    })
    .unwrap();
    assert_eq!(*offered.lock().unwrap(), ["fine/x"]);
}
