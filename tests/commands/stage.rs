//! What the commands of the pages find: programs on PATH, files in their folder, executors and an origin to reach.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use exec_http::conformance::case::Half;
use exec_http::conformance::suites;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};

/// How long a server may take to print its address, and to end.
const SOON: Duration = Duration::from_secs(60);

/// The executor of the pages. On its standard input and output it has a defect, so that there are failures to look at; as a
/// listener it has none.
const MY_EXECUTOR: &str = r#"#!/bin/sh
case "${1-}" in
    --stdio) exec exec-http zoo serve utf8-header-left-out --listen stdio ;;
    --listen) exec exec-http serve --listen "$2" ;;
    '') exec exec-http serve --listen ws://127.0.0.1:0 ;;
    *) exec exec-http serve --listen "ws://$1" ;;
esac
"#;

/// Every interpreter: its script is an adapter.
const INTERPRETER: &str = "#!/bin/sh\nexec exec-http adapter\n";

const DECLARATION: &str = "cmd = \"my-executor --stdio\"\nadapter = \"python3 adapter.py\"\n";

/// A case of the defect, and another one for clients.
const FAILURE: (&str, &str) = ("failure.case", "response/utf8-header");
const CLIENT_FAILURE: (&str, &str) = ("client-failure.case", "client-stream/gap");

/// Everything that is at hand.
pub(crate) struct Stage {
    /// Of this run of the tests.
    folder: PathBuf,
    /// The folder of programs, and what PATH was before.
    path: String,
    /// What the pages say, and what stands there for it now.
    addresses: Vec<(&'static str, String)>,
    /// Executors, until the end.
    _executors: Vec<Server>,
    /// Folders of commands that were made.
    folders: AtomicUsize,
}

/// How a command ended.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// The end of what it printed.
    pub(crate) output: String,
}

impl Stage {
    /// Starts everything.
    pub(crate) fn set(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&folder);
        let programs = folder.join("programs");
        fs::create_dir_all(&programs).expect("a folder");
        let program = std::env::var("EXEC_HTTP").unwrap_or_else(|_| env!("CARGO_BIN_EXE_exec-http").to_owned());
        let program = fs::canonicalize(program).expect("the program is there");
        symlink(program, programs.join("exec-http")).expect("a link");
        for (name, script) in [("my-executor", MY_EXECUTOR), ("python3", INTERPRETER), ("node", INTERPRETER)] {
            let path = programs.join(name);
            fs::write(&path, script).expect("a script");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a mode");
        }
        let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
        let mut stage =
            Self { folder, path, addresses: Vec::new(), _executors: Vec::new(), folders: AtomicUsize::new(0) };
        stage.props();
        let executors = [
            "exec-http serve",
            "exec-http serve --ws-token-file token",
            "exec-http serve --listen wss://127.0.0.1:0 --tls-cert cert.pem --tls-key key.pem --ws-token-file token",
        ];
        let executors = executors.map(|line| Server::start(stage.shell(line, &stage.prototype())));
        let [open, guarded, sealed] = executors.each_ref().map(|executor| executor.address.clone());
        stage.addresses = vec![
            ("--listen ws://127.0.0.1:9000", "--listen ws://127.0.0.1:0".to_owned()),
            ("--listen wss://0.0.0.0:9443", "--listen wss://0.0.0.0:0".to_owned()),
            ("ws://127.0.0.1:9000 --token-file", format!("{guarded} --token-file")),
            ("ws://127.0.0.1:9000", open.clone()),
            ("ws://127.0.0.1:8765", open),
            ("wss://executor.example.com:9443", sealed),
            ("http://127.0.0.1:8080", format!("http://{}", origin())),
        ];
        stage._executors = executors.into();
        stage
    }

    /// The files that every command finds.
    fn prototype(&self) -> PathBuf {
        self.folder.join("prototype")
    }

    /// Makes the files.
    fn props(&self) {
        let here = self.prototype();
        fs::create_dir_all(&here).expect("a folder");
        let write = |name: &str, text: &str| fs::write(here.join(name), text).expect("a file");
        for (name, id) in [FAILURE, CLIENT_FAILURE] {
            let case = suites::of(Half::of(id)).iter().find(|case| case.id == id);
            write(name, &case.expect("a case of the library").text);
        }
        write("exec-http.toml", DECLARATION);
        symlink(self.folder.join("programs/my-executor"), here.join("my-executor")).expect("a link");
        write("token", "5f1a0c0e8d7b49a3\n");
        write("body.json", "{}");
        let key = || KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new([]).expect("legal");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, key()).expect("a certificate");
        let own = key();
        let params = CertificateParams::new(["127.0.0.1".to_owned()]).expect("legal");
        write("authority.pem", &authority.pem());
        write("cert.pem", &params.signed_by(&own, &authority).expect("a certificate").pem());
        write("key.pem", &own.serialize_pem());
        // A session behind a tap, a run with a failure, and what is known to fail since.
        let hello = r#"{"id":1,"method":"initialize","params":{"clientName":"pages"}}"#;
        for (line, status) in [
            (&*format!("echo '{hello}' | exec-http tap -- my-executor --stdio"), 0),
            ("exec-http conform server --only response/utf8-header --only response/latin1-header --shrink 5", 1),
            ("exec-http expect --write known.toml --reason 'the defect of this stand-in'", 0),
        ] {
            let ended = wait(self.shell(line, &here), SOON);
            assert_eq!(ended.status.code(), Some(status), "{line}\n{}", ended.output);
        }
        symlink("exec-http-runs/latest", here.join("other-run")).expect("a link");
        let run = fs::read_link(here.join("exec-http-runs/latest")).expect("a link");
        symlink(run, here.join("exec-http-runs/20261122-143100-server")).expect("a link");
    }

    /// A new folder with the files, but none that the command makes.
    fn fresh(&self, line: &str) -> PathBuf {
        let number = self.folders.fetch_add(1, Ordering::Relaxed);
        let folder = self.folder.join(number.to_string());
        let copied =
            Command::new("cp").arg("-a").arg(self.prototype()).arg(&folder).status().expect("cp can be started");
        assert!(copied.success());
        if line.contains("exec-http doctor") {
            fs::remove_file(folder.join("exec-http.toml")).expect("a file");
        }
        folder
    }

    /// The command with addresses that exist.
    fn at_hand(&self, line: &str) -> String {
        let rest = self.addresses.iter().fold(line.to_owned(), |rest, (written, _)| rest.replace(written, ""));
        let port = |part: &str| part.len() > 3 && part.bytes().take(4).all(|byte| byte.is_ascii_digit());
        assert!(!rest.split(':').skip(1).any(port), "nothing stands for the port in {line}");
        let mut there = line.to_owned();
        for (written, stands) in &self.addresses {
            there = there.replace(written, stands);
        }
        there
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, line: &str, time: Duration) -> Ended {
        wait(self.shell(&self.at_hand(line), &self.fresh(line)), time)
    }

    /// Starts a server, and ends it when it has printed its address.
    pub(crate) fn serve(&self, line: &str) -> Ended {
        Server::start(self.shell(&self.at_hand(line), &self.fresh(line))).end()
    }

    fn shell(&self, line: &str, folder: &Path) -> Command {
        let mut command = Command::new("/bin/sh");
        // A shell that is told to end waits for its command, and ends as that does.
        command
            .args(["-c", &format!("trap : TERM\n{line}")])
            .current_dir(folder)
            .env("PATH", &self.path)
            .stdin(Stdio::null())
            .process_group(0);
        // What stands for the authorities of the system.
        command.env("SSL_CERT_FILE", self.prototype().join("authority.pem")).env_remove("RUST_LOG");
        command
    }
}

/// Waits for a command; its whole process group is killed when it takes longer.
fn wait(mut command: Command, time: Duration) -> Ended {
    let folder = command.get_current_dir().expect("every command has a folder").to_owned();
    let path = folder.with_extension("log");
    let log = File::create(&path).expect("a file");
    let copy = log.try_clone().expect("one more descriptor");
    let mut child = command.stdout(copy).stderr(log).spawn().expect("the shell can be started");
    let group = group(&child);
    let (sender, ended) = mpsc::channel();
    thread::spawn(move || sender.send(child.wait().expect("it is ours")));
    let status = ended.recv_timeout(time).unwrap_or_else(|_| {
        let _ = killpg(group, Signal::SIGKILL);
        ended.recv().expect("it was killed")
    });
    Ended { status, output: last(&fs::read(&path).expect("a file")) }
}

/// The end of what was printed.
fn last(printed: &[u8]) -> String {
    let text = String::from_utf8_lossy(printed);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

fn group(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).expect("a process id fits"))
}

/// A server that has said where it is. It is killed when it is dropped.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the shell can be started");
        let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
        let (sender, printed) = mpsc::channel();
        thread::spawn(move || {
            let mut line = String::new();
            let _ = output.read_line(&mut line);
            let _ = sender.send(line.trim().to_owned());
            // What it says later is nobody's.
            let _ = io::copy(&mut output, &mut io::sink());
        });
        let address = printed.recv_timeout(SOON).unwrap_or_default();
        Self { child, address }
    }

    fn end(mut self) -> Ended {
        let is_address = self.address.starts_with("ws://") || self.address.starts_with("wss://");
        if !is_address {
            return Ended { status: ExitStatus::from_raw(256), output: format!("printed {:?} first", self.address) };
        }
        let _ = killpg(group(&self.child), Signal::SIGTERM);
        Ended { status: self.child.wait().expect("it is ours"), output: String::new() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = killpg(group(&self.child), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

/// An origin that answers everything with a few bytes.
fn origin() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(stream));
        }
    });
    address
}

fn answer(stream: TcpStream) -> io::Result<()> {
    let mut reader = BufReader::new(&stream);
    let (mut length, mut line) = (0, String::new());
    while reader.read_line(&mut line)? > 2 {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        line.clear();
    }
    io::copy(&mut reader.by_ref().take(length), &mut io::sink())?;
    (&stream).write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello")
}
