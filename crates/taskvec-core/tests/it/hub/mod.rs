//! Checkpoints from the Hub, of which a server on this machine plays the part.

mod data;
mod server;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use taskvec_core::{
    Bindings, Checkpoint, ContentHash, Error, Hub, HubError, HubProgress, Library, Plan,
    PlanOptions, Provenance, Reference, Result, VerifyOptions, WriteOptions, verify, write,
};

use crate::formats::fixture::{
    FIRST, INDEX, SECOND, listing, model, safetensors, sharded_model, values,
};
use server::{COMMIT, Fault, Server, TOKEN};

const OTHER_COMMIT: &str = "fedcba9876543210fedcba9876543210fedcba98";

/// A directory for the repository's files and one for the cache.
struct Scratch {
    _directory: tempfile::TempDir,
    source: PathBuf,
    cache: PathBuf,
}

fn scratch(fill: impl FnOnce(&Path)) -> Scratch {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("source");
    let cache = directory.path().join("cache");
    fs::create_dir(&source).unwrap();
    fill(&source);
    Scratch {
        _directory: directory,
        source,
        cache,
    }
}

fn open(reference: &str, library: &Library) -> Result<Checkpoint> {
    Checkpoint::open(&reference.parse::<Reference>()?, library)
}

fn refusal(reference: &str, library: &Library) -> HubError {
    match open(reference, library) {
        Err(Error::Hub { source, .. }) => source,
        other => panic!("{other:?}"),
    }
}

fn repository(scratch: &Scratch) -> PathBuf {
    scratch.cache.join("models--org--name")
}

/// Requests for content, without the method.
fn contents(seen: &[String]) -> Vec<&str> {
    let get = seen
        .iter()
        .filter_map(|line| line.strip_prefix("GET storage "));
    get.collect()
}

#[test]
fn what_a_checkpoint_needs_comes_into_the_shared_cache_and_nothing_else() {
    let scratch = scratch(|source| {
        sharded_model(source);
        fs::write(source.join("tokenizer.json"), "{}").unwrap();
        for unneeded in ["pytorch_model.bin", "README.md", "consolidated.safetensors"] {
            fs::write(source.join(unneeded), "x").unwrap();
        }
    });
    let server = Server::of(&scratch.source);
    server.change(|state| {
        state
            .files
            .insert("original/params.json".into(), (b"{}".to_vec(), false));
    });
    let heard = Arc::new(Mutex::new(Vec::new()));
    let listener = {
        let heard = Arc::clone(&heard);
        move |progress: HubProgress<'_>| {
            let HubProgress {
                bytes_done,
                bytes_total,
                finished,
                ..
            } = progress;
            heard
                .lock()
                .unwrap()
                .push((bytes_done, bytes_total, finished));
        }
    };
    let hub = Hub::new(server.settings(&scratch.cache), listener);
    let checkpoint = open("hf:org/name", &Library::new().with_hub(hub)).unwrap();
    assert_eq!(checkpoint.name(), "hf:org/name");
    assert_eq!(checkpoint.commit(), Some(COMMIT));
    assert_eq!(values(&checkpoint, "layer"), [3.0, 4.0, 5.0]);

    let repository = repository(&scratch);
    let snapshot = repository.join("snapshots").join(COMMIT);
    assert_eq!(
        listing(&snapshot),
        ["config.json", FIRST, SECOND, INDEX, "tokenizer.json"]
    );
    assert_eq!(
        fs::read_to_string(repository.join("refs/main")).unwrap(),
        COMMIT
    );
    let blob = ContentHash::of(&fs::read(scratch.source.join(FIRST)).unwrap()).to_string();
    assert_eq!(
        fs::read_link(snapshot.join(FIRST)).unwrap(),
        Path::new("../../blobs").join(&blob)
    );
    let bytes: u64 = listing(&snapshot)
        .iter()
        .map(|name| fs::metadata(snapshot.join(name)).unwrap().len())
        .sum();
    let heard = heard.lock().unwrap();
    assert_eq!(heard.last(), Some(&(bytes, bytes, true)));
    assert!(heard.is_sorted_by_key(|(done, ..)| *done), "{heard:?}");

    // A second process asks where the branch is, and fetches nothing.
    server.seen();
    open("hf:org/name", &server.library(&scratch.cache)).unwrap();
    assert_eq!(server.seen(), ["GET /api/models/org/name/revision/main"]);
}

#[test]
fn a_broken_connection_is_continued_where_it_broke() {
    let scratch = scratch(model);
    let server = Server::of(&scratch.source);
    server.change(|state| {
        state
            .faults
            .extend([Fault::Cut(10), Fault::Cut(10), Fault::Cut(0)])
    });
    let checkpoint = open("hf:org/name", &server.library(&scratch.cache)).unwrap();
    assert_eq!(values(&checkpoint, "layer"), [3.0, 4.0, 5.0]);
    assert_eq!(
        contents(&server.seen()),
        [
            "/blob/model.safetensors",
            "/blob/model.safetensors bytes=10-",
            "/blob/model.safetensors bytes=20-",
            "/blob/model.safetensors bytes=20-"
        ]
    );
}

#[test]
fn what_an_earlier_process_received_is_continued_by_the_next() {
    let scratch = scratch(model);
    let server = Server::of(&scratch.source);
    let weights = fs::read(scratch.source.join("model.safetensors")).unwrap();
    let etag = ContentHash::of(&weights).to_string();
    server.change(|state| {
        state.files.remove("config.json");
        state.faults.push_back(Fault::Cut(20));
        state.faults.extend(vec![Fault::Cut(0); 3]);
    });
    let error = refusal("hf:org/name", &server.library(&scratch.cache));
    assert!(
        matches!(error, HubError::Network { cached: false, .. }),
        "{error}"
    );
    let blobs = repository(&scratch).join("blobs");
    assert_eq!(listing(&blobs), [format!("{etag}.incomplete")]);
    assert!(!repository(&scratch).join("refs").exists());
    assert!(!repository(&scratch).join("snapshots").exists());

    server.seen();
    server.change(|state| {
        state
            .files
            .insert("config.json".into(), (b"{}".to_vec(), false));
    });
    open("hf:org/name", &server.library(&scratch.cache)).unwrap();
    assert_eq!(
        contents(&server.seen()),
        ["/blob/model.safetensors bytes=20-"]
    );
    assert_eq!(fs::read(blobs.join(&etag)).unwrap(), weights);
    assert_eq!(listing(&blobs).len(), 2);
}

#[test]
fn a_beginning_that_is_none_of_the_file_is_thrown_away() {
    let weights = |source: &Path| fs::read(source.join("model.safetensors")).unwrap();
    for (left, requests) in [
        (vec![7; 16], 2),
        // All of its length, and longer.
        (vec![7; 1000], 1),
    ] {
        let scratch = scratch(model);
        let server = Server::of(&scratch.source);
        let expected = weights(&scratch.source);
        let etag = ContentHash::of(&expected).to_string();
        let blobs = repository(&scratch).join("blobs");
        fs::create_dir_all(&blobs).unwrap();
        fs::write(blobs.join(format!("{etag}.incomplete")), left).unwrap();
        open("hf:org/name", &server.library(&scratch.cache)).unwrap();
        assert_eq!(fs::read(blobs.join(&etag)).unwrap(), expected);
        assert_eq!(contents(&server.seen()).len(), requests);
    }
}

#[test]
fn a_server_that_ignores_ranges_sends_all_of_it_again() {
    let scratch = scratch(model);
    let server = Server::of(&scratch.source);
    server.change(|state| {
        state.files.get_mut("config.json").unwrap().1 = true;
        state.faults.extend([Fault::Cut(9), Fault::NoRange]);
    });
    let checkpoint = open("hf:org/name", &server.library(&scratch.cache)).unwrap();
    assert_eq!(checkpoint.config().unwrap()["model_type"], "qwen2");
}

#[test]
fn content_that_is_not_what_was_announced_never_appears() {
    let blobs_after = |prepare: &dyn Fn(&mut server::State)| {
        let scratch = scratch(model);
        let server = Server::of(&scratch.source);
        server.change(|state| {
            state.files.remove("config.json");
            prepare(state);
        });
        let error = refusal("hf:org/name", &server.library(&scratch.cache));
        (error, listing(&repository(&scratch).join("blobs")))
    };
    let (error, blobs) = blobs_after(&|state| state.faults.push_back(Fault::Damaged));
    assert!(
        matches!(&error, HubError::Content { file, .. } if file == "model.safetensors"),
        "{error}"
    );
    assert!(blobs.is_empty(), "{blobs:?}");

    let other = "f".repeat(64);
    let (error, _) = blobs_after(&|state| state.delivered_etag = Some(other.clone()));
    assert!(
        matches!(&error, HubError::Etag { found, .. } if *found == other),
        "{error}"
    );
    assert!(error.to_string().contains("announced with the ETag"));

    let (error, blobs) = blobs_after(&|state| {
        (state.announced_etag, state.delivered_etag) = (Some(other.clone()), Some(other.clone()));
    });
    assert!(
        matches!(&error, HubError::Content { expected, .. } if *expected == other),
        "{error}"
    );
    assert!(blobs.is_empty(), "{blobs:?}");

    let (error, _) = blobs_after(&|state| state.faults.push_back(Fault::Longer));
    assert!(
        matches!(&error, HubError::Answer { reason, .. } if reason.contains("more than")),
        "{error}"
    );
}

#[test]
fn refusals_say_what_to_do() {
    let scratch = scratch(model);
    let server = Server::of(&scratch.source);
    let refused = |status: u16, code: &'static str, times: usize, token: bool| {
        server.change(|state| {
            state.refusals.clear();
            state.refusals.extend(vec![(status, code); times]);
        });
        let mut settings = server.settings(&scratch.cache);
        settings.token = token.then(|| TOKEN.to_owned());
        let hub = Hub::new(settings, |_| {});
        let error = open("hf:org/name", &Library::new().with_hub(hub)).unwrap_err();
        assert_eq!(error.to_string(), "cannot fetch `hf:org/name`");
        let cause = std::error::Error::source(&error).unwrap().to_string();
        format!("{cause}; {}", error.hint().unwrap_or_default())
    };
    let endpoint = &server.endpoint;
    for (status, code, token, message) in [
        (401, "RepoNotFound", false, "there is no repository `org/name`, or it is private; check the spelling; for a private repository set `HF_TOKEN`, or run `hf auth login`".to_owned()),
        (401, "", false, "there is no repository `org/name`, or it is private; ".to_owned()),
        (404, "RepoNotFound", true, "there is no repository `org/name`, or it is private; check the spelling; a private repository also needs".to_owned()),
        (404, "RevisionNotFound", false, "the repository has no revision `main`; a revision is a branch".to_owned()),
        (401, "GatedRepo", false, format!("its owner must grant access to it; ask for access at {endpoint}/org/name, then set `HF_TOKEN`")),
        (403, "GatedRepo", true, format!("its owner must grant access to it; ask for access at {endpoint}/org/name as the user")),
        (401, "", true, "the Hub refused the token (status 401); set `HF_TOKEN`".to_owned()),
        (403, "", true, "the Hub refused the token (status 403)".to_owned()),
        (404, "", false, format!("`{endpoint}/api/models/org/name/revision/main` answered with status 404; ")),
        (429, "", false, format!("`{endpoint}/api/models/org/name/revision/main` answered with status 429; too many requests")),
    ] {
        let said = refused(status, code, 4, token);
        assert!(said.starts_with(&message), "{said}\n{message}");
    }
    // What may be better the next time is tried again; a refusal is not.
    server.seen();
    refused(404, "RepoNotFound", 4, false);
    assert_eq!(server.seen().len(), 1);
    server.change(|state| {
        state.refusals.clear();
        state.refusals.extend([(503, ""), (429, ""), (500, "")]);
    });
    open("hf:org/name", &server.library(&scratch.cache)).unwrap();
}

#[test]
fn the_token_goes_to_the_hub_and_nowhere_else() {
    let scratch = scratch(model);
    let server = Server::of(&scratch.source);
    server.change(|state| state.private = true);
    let error = refusal("hf:org/name", &server.library(&scratch.cache));
    assert!(
        matches!(error, HubError::NoRepository { token: false, .. }),
        "{error}"
    );
    let mut settings = server.settings(&scratch.cache);
    settings.token = Some(TOKEN.to_owned());
    server.seen();
    open(
        "hf:org/name",
        &Library::new().with_hub(Hub::new(settings, |_| {})),
    )
    .unwrap();
    for line in server.seen() {
        let told = line.contains(TOKEN);
        assert_eq!(told, !line.starts_with("GET storage"), "{line}");
    }
}

#[test]
fn offline_the_cache_must_do() {
    let scratch = scratch(model);
    let server = Server::of(&scratch.source);
    server.change(|state| {
        state
            .revisions
            .insert("refs/pr/1".into(), OTHER_COMMIT.into());
    });
    let offline = || {
        let mut settings = server.settings(&scratch.cache);
        settings.offline = true;
        Library::new().with_hub(Hub::new(settings, |_| {}))
    };
    let error = refusal("hf:org/name", &offline());
    assert!(matches!(error, HubError::NotCached { .. }), "{error}");
    open("hf:org/name@refs/pr/1", &server.library(&scratch.cache)).unwrap();
    server.seen();
    for reference in [
        "hf:org/name@refs/pr/1".to_owned(),
        format!("hf:org/name@{OTHER_COMMIT}"),
    ] {
        let checkpoint = open(&reference, &offline()).unwrap();
        assert_eq!(checkpoint.commit(), Some(OTHER_COMMIT));
    }
    let error = refusal("hf:org/name@main", &offline());
    assert!(matches!(error, HubError::NotCached { .. }), "{error}");
    assert!(server.seen().is_empty());

    // Without a network the snapshot is not taken for today's, but offered.
    let mut settings = server.settings(&scratch.cache);
    settings.endpoint = "http://127.0.0.1:1".to_owned();
    let library = Library::new().with_hub(Hub::new(settings, |_| {}));
    let error = refusal("hf:org/name@refs/pr/1", &library);
    assert!(
        matches!(error, HubError::Network { cached: true, .. }),
        "{error}"
    );
    let error = open("hf:org/name@refs/pr/1", &library).unwrap_err();
    assert!(error.hint().unwrap().contains("HF_HUB_OFFLINE=1"));
    // A snapshot that lost a file is refused as a directory is.
    fs::remove_file(
        repository(&scratch)
            .join("snapshots")
            .join(OTHER_COMMIT)
            .join("model.safetensors"),
    )
    .unwrap();
    let error = open("hf:org/name@refs/pr/1", &offline()).unwrap_err();
    assert!(matches!(error, Error::NoWeights { .. }), "{error}");
}

#[test]
fn pickles_alone_are_refused_with_their_conversion() {
    let scratch = scratch(|source| {
        fs::write(source.join("pytorch_model.bin"), "x").unwrap();
        fs::write(source.join("config.json"), "{}").unwrap();
    });
    let server = Server::of(&scratch.source);
    let error = open("hf:org/name", &server.library(&scratch.cache)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`hf:org/name/pytorch_model.bin` is a PyTorch pickle, not safetensors"
    );
    assert!(error.hint().unwrap().contains("save_pretrained"));
    assert_eq!(server.seen(), ["GET /api/models/org/name/revision/main"]);
}

#[test]
fn hostile_answers_lead_nowhere() {
    let scratch = scratch(model);
    let server = Server::of(&scratch.source);
    let answer = |listing: &str| {
        server.change(|state| state.listing = Some(listing.to_owned()));
        open("hf:org/name", &server.library(&scratch.cache)).unwrap_err()
    };
    for listing in [
        "<html>log in to the hotel's network</html>",
        "{}",
        r#"{"sha": "../../../evil", "siblings": []}"#,
        r#"{"sha": "", "siblings": [{"rfilename": "model.safetensors"}]}"#,
    ] {
        let error = answer(listing);
        assert!(
            matches!(
                &error,
                Error::Hub {
                    source: HubError::Answer { .. },
                    ..
                }
            ),
            "{listing}: {error}"
        );
    }
    for name in [
        "../model.safetensors",
        "/etc/model.safetensors",
        "a/model.safetensors",
        "c:model.safetensors",
    ] {
        let error = answer(&format!(
            r#"{{"sha": "{COMMIT}", "siblings": [{{"rfilename": "{name}"}}]}}"#
        ));
        assert!(matches!(error, Error::NoWeights { .. }), "{name}: {error}");
    }
    server.change(|state| {
        state.listing = None;
        state.announced_etag = Some("../../../../evil".to_owned());
    });
    let error = refusal("hf:org/name", &server.library(&scratch.cache));
    assert!(
        matches!(&error, HubError::Answer { reason, .. } if reason.contains("ETag")),
        "{error}"
    );
    let outside = listing(scratch.cache.parent().unwrap());
    assert_eq!(outside, ["source"]);
}

#[test]
fn an_output_records_the_commit_and_is_verified_against_it() {
    let scratch = scratch(model);
    let server = Server::of(&scratch.source);
    server.change(|state| {
        state.revisions.insert("v1".into(), COMMIT.into());
    });
    let library = server.library(&scratch.cache);
    // Two revisions at one commit are one checkpoint.
    let plan = |text: &str, library: &Library| {
        let expression = text.parse().unwrap();
        let names = Bindings::default().with("base", "hf:org/name".parse().unwrap());
        Plan::build(&expression, &names, library, &PlanOptions::default())
    };
    let twice = plan(r#"base - "hf:org/name@v1""#, &library).unwrap();
    assert_eq!(twice.inputs().count(), 1);
    assert!(
        twice
            .tensors()
            .values()
            .all(taskvec_core::PlannedTensor::is_zero)
    );

    let destination = scratch.source.join("out");
    let text = r#"base + 0.5 * ("hf:org/name@v1" - base)"#;
    let written = plan(text, &library).unwrap();
    write(&written, &destination, &WriteOptions::default(), &|_| {}).unwrap();
    let file = destination.join("taskvec.json");
    let record = Provenance::parse(&file, &fs::read(&file).unwrap()).unwrap();
    assert_eq!(record.expression, text.replace("0.5 * ", "0.5*"));
    assert_eq!(record.inputs[0].reference, "hf:org/name");
    assert_eq!(record.inputs[0].revision.as_deref(), Some(COMMIT));

    // The branch moves on, to other weights.
    server.change(|state| {
        state.revisions.insert("main".into(), OTHER_COMMIT.into());
        let weights = safetensors(&[("embed", &[8.0, 8.0]), ("layer", &[8.0; 3])], &[]);
        state
            .files
            .insert("model.safetensors".into(), (weights, true));
    });
    let library = server.library(&scratch.cache);
    let options = VerifyOptions::default();
    let verified = verify(
        &destination,
        &Bindings::default(),
        &library,
        &options,
        &|_| {},
    )
    .unwrap();
    assert!(verified.is_sound(), "{verified:?}");
    let today = open("hf:org/name", &library).unwrap();
    assert_eq!(today.commit(), Some(OTHER_COMMIT));
    assert_eq!(values(&today, "embed"), [8.0, 8.0]);
}
