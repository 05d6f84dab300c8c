//! Pulls that are unpacked while they come: what a broken one leaves, and how the next goes on.

use gantry_tests::{Builder, Daemon, Place, Running, eventually, image};
use sha2::{Digest, Sha256};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Serves the files of a folder as a registry does. Who asks for the `slow` blob from its beginning gets the first `after`
/// bytes and then nothing more; every range asked for is a line of the file `ranges`.
const SERVER: &str = r#"
use strict; use IO::Socket::INET;
my ($folder, $slow, $after) = @ARGV;
$SIG{CHLD} = 'IGNORE';
my $server = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 5000, Listen => 50, ReuseAddr => 1) or die $!;
$| = 1; print "ready\n";
while (my $client = $server->accept) {
    if (fork) { close $client; next }
    my ($path, $from) = ('', 0);
    while (my $line = <$client>) {
        $path = $1 if $line =~ m{^GET (\S+)};
        $from = $1 if $line =~ m{^range: bytes=(\d+)-}i;
        last if $line =~ m{^\r?\n$};
    }
    my $name = $path eq '/v2/' ? 'empty' : $path =~ m{/manifests/} ? 'manifest' : $path =~ m{/blobs/sha256:(\w+)$} ? $1 : 'none';
    my $body = '';
    if (open my $file, '<:raw', "$folder/$name") { local $/; $body = <$file> }
    if ($name eq $slow) { open my $log, '>>', "$folder/ranges"; print $log "$from\n"; close $log }
    my $type = $name eq 'manifest' ? 'application/vnd.oci.image.manifest.v1+json' : 'application/octet-stream';
    my $rest = substr $body, $from;
    print $client "HTTP/1.1 " . ($from ? "206 X\r\nContent-Range: bytes $from-" . (length($body) - 1) . '/' . length($body) : '200 X')
        . "\r\nContent-Type: $type\r\nContent-Length: " . length($rest) . "\r\nConnection: close\r\n\r\n";
    if ($name eq $slow && !$from) { print $client substr $rest, 0, $after; $client->flush; sysread $client, my $end, 1; exit 0 }
    print $client $rest; close $client; exit 0;
}
"#;

const FILES: u32 = 300;

/// Numbers that do not compress.
fn noise(seed: u32, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    (0..bytes)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as u8
        })
        .collect()
}

fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

struct Slow {
    _server: Running,
    folder: PathBuf,
    /// Digests of the compressed layer and of the plain one, hex.
    blob: String,
    diff_id: String,
    size: u64,
}

/// An image of one layer, served by one that stops after half of it.
fn slow(place: &Arc<Place>) -> Slow {
    let contents: Vec<(String, Vec<u8>)> =
        (0..FILES).map(|n| (format!("file{n}"), noise(n + 1, 20_000))).collect();
    let files: Vec<image::File<'_>> = contents
        .iter()
        .map(|(path, content)| image::File { path: path.as_str(), content: content.as_slice(), mode: 0o644 })
        .collect();
    let plain = image::layer_tar(&files);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).expect("compress");
    let layer = gzip.finish().expect("compress");
    let (blob, diff_id) = (digest(&layer), digest(&plain));
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":["sha256:{diff_id}"]}}}}"#
    );
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": format!("sha256:{}", digest(config.as_bytes())), "size": config.len()},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
            "digest": format!("sha256:{blob}"), "size": layer.len()}],
    });
    let folder = place.path("slow");
    std::fs::create_dir(&folder).expect("make a folder");
    let write = |name: &str, content: &[u8]| std::fs::write(folder.join(name), content).expect("write");
    write("empty", b"{}");
    write("manifest", manifest.to_string().as_bytes());
    write(&digest(config.as_bytes()), config.as_bytes());
    write(&blob, &layer);
    let (at, half) = (folder.to_str().expect("a plain path"), (layer.len() / 2).to_string());
    let server = place.spawn("perl", ["-e", SERVER, at, &blob, &half]);
    server.wait_for("ready");
    Slow { _server: server, folder, blob, diff_id, size: layer.len() as u64 }
}

const NAME: &str = "127.0.0.1:5000/r:t";

impl Slow {
    fn partial(&self, gantry: &Daemon) -> PathBuf {
        gantry.data().join("images/partial").join(format!("sha256-{}", self.blob))
    }

    /// Begins a pull and waits until files of a layer are there that has not come whole.
    fn begin(&self, gantry: &Daemon) -> Running {
        let pull = gantry.docker_running(["pull", NAME]);
        eventually("a part of the layer is unpacked", || {
            halves(gantry).iter().any(|half| half.join("diff/file10").exists()).then_some(())
        });
        eventually("half of it is written down", || {
            let length = std::fs::metadata(self.partial(gantry)).map_or(0, |m| m.len());
            (length == self.size / 2).then_some(())
        });
        pull
    }

    fn ranges(&self) -> Vec<u64> {
        let text = std::fs::read_to_string(self.folder.join("ranges")).expect("what was asked for");
        text.lines().map(|l| l.parse().expect("a number")).collect()
    }
}

/// Layers half made.
fn halves(gantry: &Daemon) -> Vec<PathBuf> {
    entries(&gantry.data().join("layers"))
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).collect()
}

#[test]
fn a_daemon_killed_while_it_unpacks_what_still_comes_goes_on_where_it_was() {
    let place = Place::new();
    let slow = slow(&place);
    let mut gantry = Builder::at(&place).without_image().start();
    let pull = slow.begin(&gantry);
    gantry.kill();
    assert_ne!(pull.finish().code, 0);
    gantry.start_again();
    assert_eq!(halves(&gantry), Vec::<PathBuf>::new());
    assert_eq!(gantry.docker(["images", "-aq"]).ok(), "");
    gantry.docker(["pull", "-q", NAME]).ok();
    assert_eq!(slow.ranges(), [0, slow.size / 2]);
    let diff = gantry.data().join("layers").join(&slow.diff_id).join("diff");
    for n in 0..FILES {
        let mut content = Vec::new();
        let mut file = std::fs::File::open(diff.join(format!("file{n}"))).expect("the file");
        file.read_to_end(&mut content).expect("read it");
        assert!(content == noise(n + 1, 20_000), "file{n}");
    }
    assert_eq!(entries(&gantry.data().join("images/partial")), Vec::<PathBuf>::new());
}

#[test]
fn a_cancelled_pull_leaves_nothing_but_what_came() {
    let place = Place::new();
    let slow = slow(&place);
    let gantry = Builder::at(&place).without_image().start();
    let pull = slow.begin(&gantry);
    // The client goes; nobody else waits for this image.
    pull.signal(nix::sys::signal::Signal::SIGKILL);
    eventually("the half layer is gone", || halves(&gantry).is_empty().then_some(()));
    assert_eq!(std::fs::metadata(slow.partial(&gantry)).expect("what came").len(), slow.size / 2);
    gantry.docker(["pull", "-q", NAME]).ok();
    assert_eq!(slow.ranges(), [0, slow.size / 2]);
}
