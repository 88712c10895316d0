use exec_http::conformance::{
    case::Transport,
    case::parse::parse_cases,
    driver::{PeerHandle, Settings, run_case},
    suites,
    wire::Wire,
};
use std::{io, process::Stdio};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
struct Peer {
    child: Child,
    url: Option<String>,
    io: Option<(ChildStdin, ChildStdout)>,
    _keep: Option<ChildStdin>,
}
impl PeerHandle for Peer {
    async fn connect(&mut self) -> io::Result<Wire> {
        match &self.url {
            Some(url) => Wire::websocket(url).await,
            None => {
                let (i, o) = self.io.take().ok_or(io::ErrorKind::NotConnected)?;
                Ok(Wire::stdio(i, o))
            }
        }
    }
    fn transport(&self) -> Transport {
        if self.url.is_some() { Transport::Websocket } else { Transport::Stdio }
    }
    fn authority(&self) -> Option<String> {
        self.url.as_ref().map(|u| u.trim_start_matches("ws://").trim_end_matches('/').to_owned())
    }
    fn pid(&self) -> Option<u32> {
        self.child.id()
    }
    async fn exited(&mut self) -> Option<i32> {
        self.child.wait().await.ok().and_then(|s| s.code())
    }
}
async fn start(cmd: &[String], ws: bool, env: &[(String, String)]) -> Peer {
    let listen = if ws { "ws://127.0.0.1:0" } else { "stdio" };
    let args: Vec<String> = cmd[1..].iter().map(|a| a.replace("{listen}", listen)).collect();
    let mut c = Command::new(&cmd[0]);
    c.args(args)
        .envs(env.iter().cloned())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    for v in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"] {
        c.env_remove(v);
    }
    let mut child = c.spawn().expect("spawn");
    let (i, o) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    if !ws {
        return Peer { child, url: None, io: Some((i, o)), _keep: None };
    }
    let mut r = BufReader::new(o);
    let mut url = String::new();
    loop {
        let mut l = String::new();
        if r.read_line(&mut l).await.unwrap_or(0) == 0 {
            break;
        }
        if let Some(at) = l.find("ws://") {
            url = l[at..].split_whitespace().next().unwrap().trim_end_matches('/').to_owned();
            break;
        }
    }
    tokio::spawn(async move {
        let mut s = Vec::new();
        let _ = r.read_to_end(&mut s).await;
    });
    Peer { child, url: Some(url), io: None, _keep: Some(i) }
}
#[tokio::main(flavor = "current_thread")]
async fn main() {
    let a: Vec<String> = std::env::args().skip(1).collect();
    let (transport, pattern, cmd) = (&a[0], &a[1], &a[2..]);
    let verbose = std::env::var("V").is_ok();
    let scale: f64 = std::env::var("SCALE").ok().and_then(|s| s.parse().ok()).unwrap_or(1.0);
    let dir = std::env::var("DIR").unwrap_or("src/conformance/suites".into());
    let _ = suites::all;
    let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    let (mut p, mut f) = (0, 0);
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let cases = match parse_cases(&name, &std::fs::read_to_string(&file).unwrap()) {
            Ok(c) => c,
            Err(e) => {
                println!("{e}");
                continue;
            }
        };
        for case in &cases {
            if !pattern.split(',').any(|p| case.id.starts_with(p)) {
                continue;
            }
            let ws = transport == "ws";
            if case.only.is_some_and(|t| (t == Transport::Websocket) != ws) {
                continue;
            }
            let settings = Settings { time_scale: scale, ..Settings::default() };
            let mut peer = start(cmd, ws, &case.env).await;
            let run = run_case(case, &mut peer, &settings).await;
            let text = format!("{:?}", run.judgement);
            let ok = text == "Pass";
            if ok {
                p += 1
            } else {
                f += 1
            }
            if ok && !verbose {
                println!("ok   {} {:?}", case.id, run.duration);
            } else {
                println!(
                    "{} {} {:?}\n     {}",
                    if ok { "ok  " } else { "FAIL" },
                    case.id,
                    run.duration,
                    text.chars().take(700).collect::<String>()
                );
            }
            if verbose {
                let mut v = Vec::new();
                let _ = run.trace.write(&mut v);
                for l in String::from_utf8_lossy(&v).lines() {
                    println!("       {}", l.chars().take(600).collect::<String>());
                }
            }
        }
    }
    println!("{p} ok, {f} not ok");
}
