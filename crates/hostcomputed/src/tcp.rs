//! The door for programs that have no unix sockets: TCP on a loopback address, guarded by a token.
//!
//! ```text
//!   TCP ──► door: Host header, no page, token ──► Client (a session with the rights of one user) ──► routes (http)
//! ```
//!
//! A port has no file permissions: everybody on this machine can connect. So each request carries the token, and whoever knows it is one
//! configured user, by default the owner of the token's file. It never listens where other machines reach it.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use hostcompute_service::server::Caller;

use crate::accounts::{self, User};
use crate::door::{Door, Guests, Token};

/// Whether programs may come over TCP, and as whom.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Where it listens; `None` for nowhere.
    pub listen: Option<SocketAddr>,
    /// Where the token is kept; `None` for [`TOKEN`] in the runtime directory.
    pub token_file: Option<PathBuf>,
    /// Whose rights the token gives; empty for those of the file's owner.
    pub user: String,
}

/// The token's file in the runtime directory.
const TOKEN: &str = "tcp.token";

/// A port that listens.
#[derive(Debug)]
pub struct Port {
    pub listener: TcpListener,
    pub gate: Arc<Gate>,
}

/// Who is let in, and as whom.
#[derive(Debug)]
pub struct Gate {
    pub door: Door,
    token_file: PathBuf,
    whose: Principal,
}

#[derive(Debug)]
enum Principal {
    /// Who runs the service, by whatever number they have when somebody comes: a service may enter a user namespace.
    Ourselves,
    User(User),
}

impl Port {
    /// Listens, if the settings want it.
    ///
    /// # Errors
    /// The address is not free, or not of this machine alone; there is no such user; the token cannot be kept.
    pub fn open(settings: &Settings, runtime_dir: &Path) -> Result<Option<Self>> {
        let Some(address) = settings.listen else { return Ok(None) };
        if !address.ip().is_loopback() {
            bail!(
                "tcp.listen is {address}, where other machines could reach it: choose 127.0.0.1 or [::1]; what is sent \
                 is not encrypted, the token included"
            );
        }
        let listen = || {
            let listener = TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            let place = listener.local_addr()?;
            std::io::Result::Ok((listener, place))
        };
        let (listener, place) =
            listen().with_context(|| format!("cannot listen on {address} for programs"))?;
        let token_file = settings.token_file.clone().unwrap_or_else(|| runtime_dir.join(TOKEN));
        if let Some(directory) = token_file.parent() {
            std::fs::create_dir_all(directory)
                .with_context(|| format!("cannot make {}", directory.display()))?;
        }
        let token = Token::kept_in(&token_file)?;
        let whose = Principal::of(&settings.user, &token_file)?;
        let shown = token_file.display();
        tracing::info!("programs reach this service at tcp://{place} with the token in {shown}");
        let door = Door::new(Guests::Programs, place, "", token);
        Ok(Some(Self { listener, gate: Arc::new(Gate { door, token_file, whose }) }))
    }
}

impl Principal {
    fn of(name: &str, token_file: &Path) -> Result<Self> {
        if !name.is_empty() {
            return Ok(Self::User(accounts::user(name).context("tcp.user")?));
        }
        let seen = std::fs::metadata(token_file)
            .with_context(|| format!("cannot look at {}", token_file.display()))?;
        if seen.uid() == rustix::process::geteuid().as_raw() {
            return Ok(Self::Ourselves);
        }
        // An owner without an account has no groups, and so no more rights than anybody.
        let nobody = User { uid: seen.uid(), gid: seen.gid(), groups: Vec::new() };
        Ok(Self::User(accounts::user(&seen.uid().to_string()).unwrap_or(nobody)))
    }
}

impl Gate {
    /// Who those are that know the token.
    pub fn caller(&self) -> Caller {
        match &self.whose {
            Principal::Ourselves => Caller {
                uid: rustix::process::geteuid().as_raw(),
                gid: rustix::process::getegid().as_raw(),
                ..Caller::default()
            },
            Principal::User(User { uid, gid, groups }) => {
                Caller { uid: *uid, gid: *gid, groups: groups.clone(), ..Caller::default() }
            }
        }
    }

    /// Reads the token anew: the one before opens no more, also on connections that are open.
    ///
    /// # Errors
    /// As when it was read first; then the one before stays.
    pub fn reload(&self) -> Result<()> {
        self.door.change_token(Token::kept_in(&self.token_file)?);
        Ok(())
    }
}
