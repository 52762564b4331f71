//! A connection to a bus: authentication, calls and their replies.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::DbusError;
use super::message::{Call, Kind, Message, PREFIX_BYTES, Prefix};

/// Longest line of the authentication.
const MAX_LINE_BYTES: usize = 1024;

/// Most messages that may arrive unasked (signals) while replies are awaited.
const MAX_UNASKED: usize = 64;

/// How a connection that the other side has closed looks from here.
const CLOSED: [ErrorKind; 3] = [ErrorKind::UnexpectedEof, ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];

/// A connection that the bus has accepted.
///
/// A call that is dropped half-way leaves replies unread, so the owner must drop the connection too.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    last_serial: u32,
}

impl Connection {
    /// Connects to the socket, authenticates and registers.
    ///
    /// # Errors
    /// Nobody listens, or the other side is not a bus that accepts us.
    pub async fn open(path: &Path) -> Result<Self, DbusError> {
        let stream =
            UnixStream::connect(path).await.map_err(|source| DbusError::Connect { path: path.to_owned(), source })?;
        let mut connection = Self { stream, last_serial: 0 };
        connection.authenticate().await?;
        let hello = Call {
            destination: "org.freedesktop.DBus",
            path: "/org/freedesktop/DBus",
            interface: "org.freedesktop.DBus",
            member: "Hello",
            arguments: None,
        };
        let hung_up = |error| match error {
            // Which of them it is depends on who is faster.
            DbusError::Io(error) if CLOSED.contains(&error.kind()) => DbusError::HungUp,
            other => other,
        };
        let mut replies = connection.call(&[hello]).await.map_err(hung_up)?;
        replies.pop().unwrap_or(Err(DbusError::Malformed("no reply to Hello")))?;
        Ok(connection)
    }

    /// SASL EXTERNAL: the kernel tells the bus our user. We name none (the empty `DATA`), because in a
    /// user namespace our own number would not be the one that the bus sees.
    async fn authenticate(&mut self) -> Result<(), DbusError> {
        self.stream.write_all(b"\0AUTH EXTERNAL\r\n").await?;
        let mut answer = self.read_line().await?;
        if answer.trim_end() == "DATA" {
            self.stream.write_all(b"DATA\r\n").await?;
            answer = self.read_line().await?;
        }
        if !answer.starts_with("OK ") {
            return Err(DbusError::Refused(answer));
        }
        self.stream.write_all(b"BEGIN\r\n").await?;
        Ok(())
    }

    /// Reads byte by byte: what follows the line is not ours to consume, and there are two short ones.
    async fn read_line(&mut self) -> Result<String, DbusError> {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            if line.len() == MAX_LINE_BYTES {
                return Err(DbusError::Malformed("an authentication line is too long"));
            }
            line.push(self.stream.read_u8().await?);
        }
        line.truncate(line.len() - 2);
        Ok(String::from_utf8_lossy(&line).into_owned())
    }

    /// Makes several calls in one go and waits for all replies, which come back in the order of the
    /// calls. A call that fails on the other side is an error in its place.
    ///
    /// # Errors
    /// The connection is of no more use.
    pub async fn call(&mut self, calls: &[Call<'_>]) -> Result<Vec<Result<Message, DbusError>>, DbusError> {
        let mut bytes = Vec::new();
        let first_serial = self.last_serial.wrapping_add(1).max(1);
        let mut replies = Vec::new();
        for call in calls {
            self.last_serial = self.last_serial.wrapping_add(1).max(1);
            bytes.extend_from_slice(&call.encode(self.last_serial));
            replies.push(None);
        }
        self.stream.write_all(&bytes).await?;

        let mut missing = replies.len();
        let mut unasked = 0;
        while missing > 0 {
            let message = self.read_message().await?;
            let index = message.reply_serial.wrapping_sub(first_serial) as usize;
            let slot = replies.get_mut(index).filter(|slot| slot.is_none() && message.reply_serial != 0);
            match (message.kind, slot) {
                (Kind::Return, Some(slot)) => *slot = Some(Ok(message)),
                (Kind::Error, Some(slot)) => *slot = Some(Err(message.error())),
                _ => {
                    unasked += 1;
                    if unasked > MAX_UNASKED {
                        return Err(DbusError::Malformed("too many messages that nobody asked for"));
                    }
                    continue;
                }
            }
            missing -= 1;
        }
        Ok(replies.into_iter().flatten().collect())
    }

    async fn read_message(&mut self) -> Result<Message, DbusError> {
        let mut prefix = [0; PREFIX_BYTES];
        self.stream.read_exact(&mut prefix).await?;
        let prefix = Prefix::parse(&prefix)?;
        let mut rest = vec![0; prefix.rest_bytes()];
        self.stream.read_exact(&mut rest).await?;
        Message::parse(&prefix, rest)
    }
}

/// Takes the socket's path out of an address like `unix:path=/run/dbus/system_bus_socket,guid=…`. Of
/// several addresses, separated by `;`, the first that can be used counts.
///
/// # Errors
/// None of them is of the kind `unix:path`.
pub fn socket_path(address: &str) -> Result<PathBuf, DbusError> {
    address
        .split(';')
        .filter_map(|one| one.strip_prefix("unix:"))
        .flat_map(|options| options.split(','))
        .filter_map(|option| option.strip_prefix("path="))
        .find(|path| path.starts_with('/') && !path.contains('%'))
        .map(PathBuf::from)
        .ok_or_else(|| DbusError::Address(address.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_common_kind_are_understood() {
        let path = |address| socket_path(address).map(|path| path.display().to_string());
        assert_eq!(path("unix:path=/run/bus").unwrap(), "/run/bus");
        assert_eq!(path("tcp:host=x;unix:guid=1,path=/run/bus").unwrap(), "/run/bus");
        for bad in ["", "unix:abstract=/x", "tcp:host=localhost", "unix:path=", "unix:path=relative"] {
            assert!(path(bad).is_err(), "{bad:?}");
        }
    }
}
