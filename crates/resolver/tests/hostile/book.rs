//! Genuine answers: what the universe says to every question, for relaying, and for replaying where they do not belong.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Mutex;

use hickory_proto::op::{DnsRequest, DnsRequestOptions, Message, Query};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

/// Reads from one server, and may remember.
pub(super) struct Book {
    server: SocketAddr,
    /// None where the server's mind changes.
    known: Option<Mutex<HashMap<(Name, RecordType), Message>>>,
}

impl Book {
    /// Of a universe that stays as it is.
    pub(super) fn new(server: SocketAddr) -> Self {
        Self { server, known: Some(Mutex::default()) }
    }

    /// Of a universe that changes.
    pub(super) fn forgetful(server: SocketAddr) -> Self {
        Self { server, known: None }
    }

    /// What the server says to this question.
    pub(super) async fn look_up(&self, name: &Name, rr_type: RecordType) -> Message {
        let key = (canonical(name), rr_type);
        if let Some(known) = self.known.as_ref().and_then(|known| known.lock().unwrap().get(&key).cloned()) {
            return known;
        }
        let message = ask_over_tcp(self.server, &key.0, rr_type).await;
        if let Some(known) = &self.known {
            known.lock().unwrap().insert(key, message.clone());
        }
        message
    }

    /// A denial by `zone` with every NSEC or NSEC3 record that it ever shows, found by asking for names all over it.
    pub(super) async fn every_denial(&self, zone: &str) -> Message {
        let behind = [
            "", "_8443", "_tcp", "a", "alias", "b", "mail", "old", "optout", "out", "plain", "ptr", "signed",
        ];
        let behind =
            behind.into_iter().chain(["sub", "unsigned", "wild", "www", "nsec", "nsec3", "other", "costly"]);
        let names = behind.map(|label| format!("{label}0.{zone}"));
        let mut all = self.read(&format!("none.{zone}"), RecordType::A).await;
        for owner in names.chain((0..30).map(|number| format!("h{number}.{zone}"))) {
            for record in self.read(&owner, RecordType::A).await.authorities {
                if !all.authorities.contains(&record) {
                    all.authorities.push(record);
                }
            }
        }
        all
    }

    /// As [`look_up`](Self::look_up), for the text of a name.
    pub(super) async fn read(&self, owner: &str, rr_type: RecordType) -> Message {
        self.look_up(&wire_name(owner), rr_type).await
    }
}

/// What `server` says, signatures included.
async fn ask_over_tcp(server: SocketAddr, name: &Name, rr_type: RecordType) -> Message {
    let mut options = DnsRequestOptions::default();
    options.edns_set_dnssec_ok = true;
    options.use_edns = true;
    let request = DnsRequest::from_query(Query::query(name.clone(), rr_type), options);
    let answered = async {
        let mut stream = TcpStream::connect(server).await?;
        stream.write_all(&framed(&request.to_vec().unwrap())).await?;
        let mut octets = vec![0; usize::from(stream.read_u16().await?)];
        stream.read_exact(&mut octets).await?;
        std::io::Result::Ok(octets)
    };
    Message::from_vec(&answered.await.unwrap()).unwrap()
}
