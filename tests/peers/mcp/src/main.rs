//! An MCP server on loopback, streamable HTTP, that says on standard output what happens to it, a line each:
//! `url URL`, `open N` and `closed N` for its connections, `call NAME` for tool calls as they start. With the argument `close` each
//! connection carries one request, so that the open ones are those whose request is still being answered.

use std::env;
use std::future;
use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, JsonObject, ListToolsResult,
    PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::StreamableHttpService;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Tools whose only use is that the list is long.
const BULK_TOOLS: usize = 40;

/// Bytes of the description of each.
const BULK_DESCRIPTION: usize = 5_000;

#[derive(Clone, Default)]
struct Tools {
    /// How often `count` was called, in all sessions.
    count: Arc<AtomicU64>,
}

impl ServerHandler for Tools {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let mut tools = vec![
            tool("echo", "Answers with its argument.".into()),
            tool("count", "Answers with how often it was called.".into()),
            tool("slow", "Never answers.".into()),
        ];
        tools.extend((0..BULK_TOOLS).map(|index| tool(&format!("bulk_{index:02}"), bulk(index))));
        Ok(ListToolsResult::with_all_items(tools))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        say(&format!("call {}", request.name));
        let answer = match &*request.name {
            "echo" => {
                let text = request.arguments.as_ref().and_then(|arguments| arguments.get("text"));
                text.and_then(Value::as_str).unwrap_or_default().to_owned()
            }
            "count" => (self.count.fetch_add(1, Ordering::Relaxed) + 1).to_string(),
            "slow" => future::pending().await,
            _ => return Err(ErrorData::invalid_params("no such tool", None)),
        };
        Ok(CallToolResult::success(vec![ContentBlock::text(answer)]).into())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let keep_alive = env::args().nth(1).as_deref() != Some("close");
    let tools = Tools::default();
    let sessions = Arc::new(LocalSessionManager::default());
    let service = StreamableHttpService::new(move || Ok(tools.clone()), sessions, Default::default());
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    say(&format!("url http://{}/mcp", listener.local_addr()?));
    let mut connections = 0_u64;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        connections += 1;
        let (number, service) = (connections, TowerToHyperService::new(service.clone()));
        say(&format!("open {number}"));
        tokio::spawn(async move {
            let mut http = hyper::server::conn::http1::Builder::new();
            // How it ended does not matter, only that it has.
            _ = http.keep_alive(keep_alive).serve_connection(TokioIo::new(stream), service).await;
            say(&format!("closed {number}"));
        });
    }
}

/// A tool that takes a text.
fn tool(name: &str, description: String) -> Tool {
    let schema = json!({"type": "object", "properties": {"text": {"type": "string"}}});
    let schema: JsonObject = serde_json::from_value(schema).expect("an object");
    Tool::new(name.to_owned(), description, schema)
}

/// The description of one bulk tool: no two of them, and no two parts of one, are equal.
fn bulk(index: usize) -> String {
    let mut text = String::with_capacity(BULK_DESCRIPTION);
    for word in 0.. {
        if text.len() >= BULK_DESCRIPTION {
            break;
        }
        text.push_str(&format!("{index}.{word} "));
    }
    text.truncate(BULK_DESCRIPTION);
    text
}

/// A line for the script that drives this; it has gone when nobody listens.
fn say(line: &str) {
    let mut out = io::stdout().lock();
    _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
