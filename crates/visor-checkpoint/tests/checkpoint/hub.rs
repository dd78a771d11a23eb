//! Downloading from a hub that keeps to its protocol, and from one that does not.

use crate::hub_server::{Fault, ID, Server};
use std::fs;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use visor_checkpoint::hub::{Hub, HubError, HubModel, Progress, Snapshot, Unseen};
use visor_checkpoint::{Checkpoint, Source};

const WEIGHTS: &str = "model.safetensors";
const CONTENT: &[u8] = b"not weights, but twenty-nine!";

/// A server with files that are needed and files that are not, and a cache.
struct Bench {
    server: Server,
    root: TempDir,
}

impl Bench {
    fn new() -> Self {
        Self::with(&[(WEIGHTS, CONTENT)])
    }

    fn with(files: &[(&str, &[u8])]) -> Self {
        let others: [(&str, &[u8]); 9] = [
            (".gitattributes", b"x"),
            ("README.md", b"x"),
            ("config.json", b"{}"),
            ("consolidated.safetensors", b"x"),
            ("onnx/model.onnx", b"x"),
            ("preprocessor_config.json", b"{ }"),
            ("pytorch_model.bin", b"x"),
            ("router/policy.json", b"[]"),
            ("tokenizer.json", b"{  }"),
        ];
        let server = Server::new(others.into_iter().chain(files.iter().copied()));
        Self { server, root: TempDir::new().expect("a temporary folder") }
    }

    fn hub(&self) -> Hub {
        Hub::new(self.root.path().to_owned()).endpoint(&self.server.endpoint()).expect("an address")
    }

    fn download(&self) -> Result<Snapshot, HubError> {
        self.hub().download(&model(), &mut Unseen)
    }

    /// Downloads, expects that to fail, and that nothing was made that could be taken for a model.
    fn refused(&self) -> String {
        let error = self.download().expect_err("refused");
        assert_eq!(self.hub().cached(&model()), None, "{error}");
        let message = error.to_string();
        assert!(message.contains("`owner/model` at revision `main`"), "{message}");
        message
    }

    /// The paths and ranges that were asked for since the last time, without the list.
    fn asked(&self) -> Vec<(String, Option<String>)> {
        let requests = self.server.requests().into_iter();
        let files = requests.filter(|request| !request.path.starts_with("/api"));
        let name = |path: &str| {
            path.rsplit_once("/resolve/").map_or("", |(_, name)| &name[41..]).to_owned()
        };
        files.map(|request| (name(&request.path), request.range)).collect()
    }
}

fn model() -> HubModel {
    ID.parse().expect("an id")
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
    let mut names: Vec<String> = entries.map(|e| name(e).to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn what_a_model_needs_is_downloaded_and_nothing_else() {
    let bench = Bench::new();
    let snapshot = bench.download().expect("downloaded");
    let needed = ["config.json", WEIGHTS, "preprocessor_config.json", "router", "tokenizer.json"];
    assert_eq!(names(snapshot.folder()), needed);
    assert_eq!(fs::read(snapshot.folder().join(WEIGHTS)).expect("read"), CONTENT);
    assert_eq!(fs::read(snapshot.folder().join("router/policy.json")).expect("read"), b"[]");
    let asked: Vec<String> = bench.asked().into_iter().map(|(name, _)| name).collect();
    assert_eq!(asked.last().map(String::as_str), Some("config.json"), "the last of {asked:?}");
    assert_eq!(asked.len(), 5, "{asked:?}");
    let checkpoint = Checkpoint::open(Source::Folder(snapshot.folder().to_owned()));
    assert_eq!(checkpoint.expect("a checkpoint").config_json(), b"{}");
}

#[test]
fn the_cache_is_laid_out_as_the_hubs_other_programs_do_it() {
    let bench = Bench::new();
    bench.download().expect("downloaded");
    let root = bench.root.path().join("models--owner--model");
    let commit = "a".repeat(40);
    assert_eq!(fs::read_to_string(root.join("refs/main")).expect("a reference"), commit);
    assert_eq!(names(&root.join("snapshots")), [commit.as_str()]);
    let sum = visor_checkpoint::Sha256Sum::of(CONTENT).to_string();
    assert_eq!(fs::read(root.join("blobs").join(&sum)).expect("a content"), CONTENT);
    assert!(names(&root.join("blobs")).iter().all(|name| !name.contains('.')));
    if cfg!(unix) {
        let link = fs::read_link(root.join("snapshots").join(commit).join(WEIGHTS));
        assert_eq!(link.expect("a link"), Path::new("../../blobs").join(sum));
    }
}

#[test]
fn a_model_that_is_in_the_cache_is_used_without_asking_the_hub() {
    let bench = Bench::new();
    let first = bench.download().expect("downloaded");
    bench.server.requests();
    let again = bench.hub().fetch(&model(), &mut Unseen).expect("in the cache");
    let offline = bench.hub().offline().download(&model(), &mut Unseen).expect("in the cache");
    assert_eq!((&again, &offline), (&first, &first));
    let at_commit = HubModel::new(ID, first.commit()).expect("a model");
    assert!(bench.hub().cached(&at_commit).is_some());
    assert_eq!(bench.server.requests(), []);
}

#[test]
fn a_model_that_is_not_in_the_cache_is_an_error_offline() {
    let bench = Bench::new();
    let error = bench.hub().offline().fetch(&model(), &mut Unseen).expect_err("not there");
    let message = error.to_string();
    assert!(matches!(error, HubError::Offline { .. }), "{message}");
    assert!(message.contains("`owner/model`") && message.contains("HF_HUB_OFFLINE"), "{message}");
    assert_eq!(bench.server.requests(), []);
}

#[test]
fn a_part_of_a_model_is_no_model() {
    let bench = Bench::new();
    let snapshot = bench.download().expect("downloaded");
    fs::remove_file(snapshot.folder().join(WEIGHTS)).expect("removed");
    assert_eq!(bench.hub().cached(&model()), None);
    assert!(bench.hub().offline().fetch(&model(), &mut Unseen).is_err());
    bench.asked();
    assert_eq!(bench.hub().fetch(&model(), &mut Unseen).expect("mended"), snapshot);
    assert_eq!(bench.asked(), [], "the content was there, and lacked its name alone");
}

#[test]
fn a_cache_that_lacks_a_small_file_is_completed_online_and_says_what_it_lacks_offline() {
    for (file, named) in [
        ("tokenizer.json", "without `tokenizer.json`,"),
        (
            "preprocessor_config.json",
            "without `preprocessor_config.json` or `processor_config.json`,",
        ),
        (WEIGHTS, "without `model.safetensors`,"),
    ] {
        let bench = Bench::new();
        let snapshot = bench.download().expect("downloaded");
        fs::remove_file(snapshot.folder().join(file)).expect("removed");
        assert_eq!(bench.hub().cached(&model()), None, "{file}");
        bench.server.requests();
        for offline in [Hub::fetch, Hub::download] {
            let error = offline(&bench.hub().offline(), &model(), &mut Unseen).expect_err(file);
            let message = error.to_string();
            assert!(matches!(error, HubError::Incomplete { .. }), "{message}");
            assert!(message.contains(named) && message.contains("HF_HUB_OFFLINE"), "{message}");
        }
        assert_eq!(bench.server.requests(), []);
        assert_eq!(bench.hub().fetch(&model(), &mut Unseen).expect("mended"), snapshot);
        assert!(snapshot.folder().join(file).is_file());
    }
}

#[test]
fn what_describes_a_model_comes_without_its_weights_and_is_no_model() {
    let bench = Bench::new();
    let small = bench.hub().fetch_small(&model(), &mut Unseen).expect("described");
    let needed = ["config.json", "preprocessor_config.json", "router", "tokenizer.json"];
    assert_eq!(names(small.folder()), needed);
    assert!(bench.asked().iter().all(|(name, _)| name != WEIGHTS));
    assert_eq!(bench.hub().cached(&model()), None);
    let again = bench.hub().offline().fetch_small(&model(), &mut Unseen).expect("in the cache");
    assert_eq!(again, small);
    assert_eq!(bench.server.requests(), []);
    assert_eq!(bench.hub().fetch(&model(), &mut Unseen).expect("downloaded"), small);
    assert_eq!(bench.asked(), [(WEIGHTS.to_owned(), None)]);
    assert!(bench.hub().cached(&model()).is_some());
}

#[test]
fn a_download_that_is_cut_off_goes_on_where_it_was() {
    let bench = Bench::new();
    bench.server.fails(WEIGHTS, &[Fault::Cut(10), Fault::Cut(5)]);
    let snapshot = bench.download().expect("downloaded");
    assert_eq!(fs::read(snapshot.folder().join(WEIGHTS)).expect("read"), CONTENT);
    let asked = bench.asked().into_iter().filter(|(name, _)| name == WEIGHTS);
    let ranges: Vec<_> = asked.map(|(_, range)| range).collect();
    assert_eq!(ranges, [None, Some("bytes=10-".to_owned()), Some("bytes=15-".to_owned())]);
}

#[test]
fn a_connection_that_brings_nothing_is_an_error_and_the_next_run_goes_on() {
    let bench = Bench::new();
    bench.server.fails(WEIGHTS, &[Fault::Cut(10), Fault::Cut(0)]);
    let message = bench.refused();
    assert!(message.contains("`model.safetensors`"), "{message}");
    assert!(message.contains("cut off after 10 of 29 bytes"), "{message}");
    bench.asked();
    bench.download().expect("downloaded");
    let weights = (WEIGHTS.to_owned(), Some("bytes=10-".to_owned()));
    let config = ("config.json".to_owned(), None);
    assert_eq!(bench.asked(), [weights, config], "what was whole is not asked for again");
}

#[test]
fn a_hub_that_cannot_go_on_is_asked_for_the_whole() {
    for fault in [Fault::Whole, Fault::Status(416)] {
        let bench = Bench::new();
        bench.server.fails(WEIGHTS, &[Fault::Cut(10), fault]);
        let snapshot = bench.download().expect("downloaded");
        assert_eq!(fs::read(snapshot.folder().join(WEIGHTS)).expect("read"), CONTENT, "{fault:?}");
    }
}

#[test]
fn what_was_left_of_another_file_is_not_taken_for_this_one() {
    for (left, ends) in [(&[0; 10][..], "refused"), (&[0; 29], "refused"), (&[0; 99], "downloaded")]
    {
        let bench = Bench::new();
        let blobs = bench.root.path().join("models--owner--model/blobs");
        fs::create_dir_all(&blobs).expect("a folder");
        let part = blobs.join(format!("{}.part", visor_checkpoint::Sha256Sum::of(CONTENT)));
        fs::write(&part, left).expect("written");
        if ends == "refused" {
            assert!(bench.refused().contains("sha256"));
            assert!(!part.exists());
        }
        bench.download().expect("downloaded");
    }
}

#[test]
fn content_that_is_not_what_was_announced_is_refused() {
    let bench = Bench::new();
    bench.server.fails(WEIGHTS, &[Fault::Damaged]);
    let message = bench.refused();
    assert!(message.contains("has sha256") && message.contains("is deleted"), "{message}");
    for file in [WEIGHTS, "tokenizer.json"] {
        let bench = Bench::new();
        bench.server.fails(file, &[Fault::Longer]);
        let message = bench.refused();
        assert!(message.contains(file) && message.contains("is longer than"), "{message}");
    }
}

#[test]
fn a_token_goes_to_the_hub_and_not_to_where_files_lie() {
    let bench = Bench::new();
    bench.server.fails(WEIGHTS, &[Fault::Elsewhere]);
    let hub = bench.hub().token("secret").expect("a token");
    hub.download(&model(), &mut Unseen).expect("downloaded");
    let requests = bench.server.requests();
    let (elsewhere, here): (Vec<_>, Vec<_>) =
        requests.into_iter().partition(|request| request.path.starts_with("/elsewhere"));
    assert_eq!(elsewhere.len(), 1);
    assert!(elsewhere.iter().all(|request| request.authorization.is_none()), "{elsewhere:?}");
    let bearer = Some("Bearer secret".to_owned());
    assert!(here.iter().all(|request| request.authorization == bearer), "{here:?}");
}

#[test]
fn a_model_that_is_not_shown_says_what_to_do() {
    for (status, token, says) in [
        (401, None, "set HF_TOKEN"),
        (403, None, "set HF_TOKEN"),
        (401, Some("secret"), "the owner of the token"),
        (403, Some("secret"), "the owner of the token"),
        (404, None, "check the id and the revision"),
        (500, None, "status 500"),
        (429, None, "try again later"),
    ] {
        for path in ["/revision/main", WEIGHTS] {
            let bench = Bench::new();
            bench.server.fails(path, &[Fault::Status(status)]);
            let hub = bench.hub();
            let hub = token.map_or(Ok(hub.clone()), |token| hub.token(token)).expect("a hub");
            let message = hub.download(&model(), &mut Unseen).expect_err("refused").to_string();
            assert!(message.contains(says), "{status}: {message}");
            assert!(message.contains("`owner/model` at revision `main`"), "{message}");
            assert!(message.contains("127.0.0.1") && !message.contains("secret"), "{message}");
            assert_eq!(message.contains("`model.safetensors`"), path == WEIGHTS, "{message}");
            assert_eq!(hub.cached(&model()), None);
        }
    }
}

#[test]
fn a_slow_hub_is_waited_for_and_a_silent_one_is_not() {
    let bench = Bench::new();
    bench.server.fails("/revision/main", &[Fault::Slow]);
    bench.server.fails(WEIGHTS, &[Fault::Slow]);
    bench.download().expect("downloaded");
    let bench = Bench::new();
    bench.server.fails("/revision/main", &[Fault::Silence]);
    let hub = bench.hub().patience(Duration::from_millis(200));
    let error = hub.download(&model(), &mut Unseen).expect_err("silent");
    assert!(matches!(error, HubError::Unreachable { .. }), "{error}");
}

#[test]
fn a_hub_that_is_not_there_is_an_error_that_names_its_address() {
    let bench = Bench::new();
    let hub = bench.hub().endpoint("http://127.0.0.1:1").expect("an address");
    let message = hub.download(&model(), &mut Unseen).expect_err("nobody there").to_string();
    assert!(message.contains("http://127.0.0.1:1") && message.contains("--offline"), "{message}");
}

#[test]
fn a_new_commit_shares_what_has_not_changed_and_stands_only_when_whole() {
    let bench = Bench::new();
    let old = bench.download().expect("downloaded");
    bench.asked();
    bench.server.commits("b", [("config.json", &b"{   }"[..]), ("tokenizer.json", b"{    }")]);
    bench.server.fails("config.json", &[Fault::Status(500)]);
    bench.download().expect_err("interrupted");
    assert_eq!(bench.hub().cached(&model()), Some(old), "the old one is still what is meant");
    let new = bench.download().expect("downloaded");
    assert_eq!(new.commit(), "b".repeat(40));
    assert_eq!(bench.hub().cached(&model()), Some(new));
    assert!(bench.asked().iter().all(|(name, _)| name != WEIGHTS), "weights have not changed");
}

#[test]
fn revisions_are_kept_apart() {
    let bench = Bench::new();
    let tag = HubModel::new(ID, "refs/pr/1").expect("a model");
    bench.hub().download(&tag, &mut Unseen).expect("downloaded");
    let path = &bench.server.requests()[0].path;
    assert_eq!(path, "/api/models/owner/model/revision/refs%2Fpr%2F1?blobs=true");
    assert!(bench.hub().cached(&tag).is_some());
    assert_eq!(bench.hub().cached(&model()), None);
    let commit = HubModel::new(ID, &"a".repeat(40)).expect("a model");
    let snapshot = bench.hub().download(&commit, &mut Unseen).expect("downloaded");
    assert_eq!(bench.hub().cached(&commit), Some(snapshot));
    let refs = bench.root.path().join("models--owner--model/refs");
    assert_eq!(names(&refs), ["refs"], "a commit means itself");
}

#[test]
fn shards_are_those_of_the_index() {
    let index =
        br#"{"weight_map":{"a":"model-1-of-2.safetensors","b":"model-2-of-2.safetensors"}}"#;
    let index = ("model.safetensors.index.json", &index[..]);
    let shards: [(&str, &[u8]); 2] =
        [("model-1-of-2.safetensors", b"1"), ("model-2-of-2.safetensors", b"2")];
    let bench = Bench::with(&[index, shards[0], shards[1], ("stray.safetensors", b"3")]);
    let snapshot = bench.download().expect("downloaded");
    let there = names(snapshot.folder());
    assert!(shards.iter().all(|(name, _)| there.contains(&(*name).to_owned())), "{there:?}");
    assert!(!there.contains(&"stray.safetensors".to_owned()), "{there:?}");
    fs::remove_file(snapshot.folder().join(shards[1].0)).expect("removed");
    assert_eq!(bench.hub().cached(&model()), None, "a shard is missing");

    let message = Bench::with(&[index, shards[0]]).refused();
    assert!(message.contains("has no `model-2-of-2.safetensors`"), "{message}");
    let outside = br#"{"weight_map":{"a":"../../x.safetensors"}}"#;
    let bench = Bench::with(&[("model.safetensors.index.json", &outside[..])]);
    assert!(bench.refused().contains("contradict"));
}

#[test]
fn a_model_without_weights_that_can_be_read_is_refused_before_anything_large_comes() {
    let bench = Bench::with(&[]);
    let message = bench.refused();
    assert!(message.contains("convert the weights to safetensors"), "{message}");
}

#[test]
fn what_a_universal_checkpoint_records_is_downloaded_and_holds() {
    let (_root, folder) = crate::support::saved(visor_checkpoint::Dtype::F32, 64);
    let read = |name: &String| fs::read(folder.join(name)).expect("read");
    let files: Vec<(String, Vec<u8>)> =
        names(&folder).into_iter().map(|n| (n.clone(), read(&n))).collect();
    let server = Server::new(files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())));
    let root = TempDir::new().expect("a temporary folder");
    let hub = Hub::new(root.path().to_owned()).endpoint(&server.endpoint()).expect("an address");
    let snapshot = hub.download(&model(), &mut Unseen).expect("downloaded");
    assert_eq!(names(snapshot.folder()), names(&folder));
    let checkpoint = Checkpoint::open(Source::Folder(snapshot.folder().to_owned()));
    checkpoint.expect("a checkpoint").verify().expect("verified");
}

#[test]
fn two_programs_do_not_write_one_file() {
    let bench = Bench::new();
    let blobs = bench.root.path().join("models--owner--model/blobs");
    fs::create_dir_all(&blobs).expect("a folder");
    let part = blobs.join(format!("{}.part", visor_checkpoint::Sha256Sum::of(CONTENT)));
    let file = fs::File::create(part).expect("a file");
    file.lock().expect("locked");
    let message = bench.refused();
    assert!(message.contains("another program is downloading `model.safetensors`"), "{message}");
    drop(file);
    bench.download().expect("downloaded");
}

#[test]
fn progress_tells_every_byte_of_every_file() {
    #[derive(Debug, Default)]
    struct Told {
        expected: u64,
        received: u64,
        files: Vec<String>,
    }
    impl Progress for Told {
        fn starts(&mut self, file: &str, bytes: u64, done: u64) {
            self.expected += bytes - done;
            self.files.push(file.to_owned());
        }
        fn received(&mut self, bytes: u64) {
            self.received += bytes;
        }
        fn ends(&mut self) {
            assert_eq!(self.received, self.expected);
        }
    }
    let bench = Bench::new();
    bench.server.fails(WEIGHTS, &[Fault::Cut(10), Fault::Cut(0)]);
    bench.refused();
    let mut told = Told::default();
    bench.hub().download(&model(), &mut told).expect("downloaded");
    assert_eq!(told.files, [WEIGHTS, "config.json"]);
    assert_eq!(told.received, 19 + 2);
}
