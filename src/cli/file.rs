//! Small files that options name: tokens, certificates, keys.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use exec_http::transport::websocket::{Token, TokenHash};

/// Bytes that such a file may have.
const FILE_BYTES: u64 = 1024 * 1024;

/// The content of a file; the error names its role, such as `TLS key`, and its path, and nothing of what is in it.
pub(super) fn read(role: &str, path: &Path) -> Result<Vec<u8>, String> {
    let mut content = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FILE_BYTES + 1).read_to_end(&mut content));
    match read {
        Err(error) => Err(format!("cannot read the {role} {}: {error}", path.display())),
        Ok(bytes) if bytes as u64 > FILE_BYTES => {
            Err(format!("the {role} {} has more than {FILE_BYTES} bytes", path.display()))
        }
        Ok(_) => Ok(content),
    }
}

/// The token in a file, as a client shows it.
pub(super) fn token(path: &Path) -> Result<Token, String> {
    Token::new(&token_text(path)?).map_err(|error| format!("token file {}: {error}", path.display()))
}

/// The digest of the token in a file.
pub(super) fn token_hash(path: &Path) -> Result<TokenHash, String> {
    TokenHash::of(&token_text(path)?).map_err(|error| format!("token file {}: {error}", path.display()))
}

fn token_text(path: &Path) -> Result<String, String> {
    String::from_utf8(read("token file", path)?).map_err(|_| format!("token file {}: not UTF-8", path.display()))
}
