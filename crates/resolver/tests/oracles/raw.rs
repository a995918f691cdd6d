//! A resolver's own verdict, read from its responses by nothing that the product uses: response code, AD bit, records.

use std::net::SocketAddr;
use std::time::Duration;

use hickory_proto::op::{Edns, Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use revouch_resolver::convert;
use revouch_validator::name::DnsName;
use revouch_validator::rr::RrType;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::verdict::{Kind, State, Verdict, shown};

/// How long one response may take: the first may have to validate a chain of zones.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a question is sent.
const ATTEMPTS: usize = 4;

/// What the server says of a question.
pub(crate) async fn ask(server: SocketAddr, name: &DnsName, rr_type: RrType) -> Verdict {
    let name = convert::name(name).unwrap();
    let rr_type = RecordType::from(rr_type.0);
    let mut last = String::from("silence");
    for attempt in 0..ATTEMPTS {
        let id = u16::try_from(4711 + attempt).unwrap();
        match timeout(PATIENCE, response(server, &query(id, &name, rr_type))).await {
            Ok(Ok(message)) if message.metadata.id == id => return verdict(&message, rr_type),
            Ok(Ok(_)) => last = "another identifier".into(),
            Ok(Err(error)) => last = error.to_string(),
            Err(_) => {}
        }
    }
    panic!("{server} gives no answer to {name} {rr_type}: {last}")
}

fn query(id: u16, name: &Name, rr_type: RecordType) -> Vec<u8> {
    let mut message = Message::query();
    message.metadata.id = id;
    message.metadata.recursion_desired = true;
    message.metadata.authentic_data = true;
    message.add_query(Query::query(name.clone(), rr_type));
    let mut edns = Edns::new();
    edns.set_max_payload(1232);
    message.edns = Some(edns);
    message.to_vec().unwrap()
}

async fn response(server: SocketAddr, query: &[u8]) -> std::io::Result<Message> {
    let socket = UdpSocket::bind(("127.0.0.1", 0)).await?;
    socket.connect(server).await?;
    socket.send(query).await?;
    let mut buffer = vec![0; 65_535];
    let length = socket.recv(&mut buffer).await?;
    let message = parse(&buffer[..length])?;
    if !message.metadata.truncation {
        return Ok(message);
    }
    let mut stream = TcpStream::connect(server).await?;
    stream.write_all(&u16::try_from(query.len()).unwrap().to_be_bytes()).await?;
    stream.write_all(query).await?;
    let length = usize::from(stream.read_u16().await?);
    stream.read_exact(&mut buffer[..length]).await?;
    parse(&buffer[..length])
}

fn parse(octets: &[u8]) -> std::io::Result<Message> {
    Message::from_vec(octets).map_err(std::io::Error::other)
}

fn verdict(message: &Message, rr_type: RecordType) -> Verdict {
    match message.metadata.response_code {
        ResponseCode::NoError | ResponseCode::NXDomain => {}
        _ => return Verdict::bogus(),
    }
    let state = if message.metadata.authentic_data { State::Secure } else { State::Insecure };
    let end = end_of_chain(message);
    let data = message.answers.iter().filter(|record| record.record_type() == rr_type && is_at(record, &end));
    let data: Vec<_> = data.map(|record| record.data.clone()).collect();
    let records = convert::records(&data).unwrap();
    let has_soa = message.authorities.iter().any(|record| record.record_type() == RecordType::SOA);
    let kind = match message.metadata.response_code {
        _ if !records.is_empty() => Kind::Records(shown(&records)),
        ResponseCode::NXDomain => Kind::NxDomain,
        // An alias that leads nowhere, without a word on why: as an answer it is none.
        _ if !message.answers.is_empty() && !has_soa => return Verdict::bogus(),
        _ => Kind::NoData,
    };
    Verdict::new(state, Some(kind))
}

/// Where the aliases lead that answer the question; they are not followed for their own type.
fn end_of_chain(message: &Message) -> Name {
    let question = &message.queries[0];
    let mut name = question.name().clone();
    for _ in 0..message.answers.len() {
        let alias = message.answers.iter().find_map(|record| match &record.data {
            RData::CNAME(target) if is_at(record, &name) => Some(target.0.clone()),
            _ => None,
        });
        match alias {
            Some(target) if question.query_type() != RecordType::CNAME => name = target,
            _ => break,
        }
    }
    name
}

fn is_at(record: &Record, name: &Name) -> bool {
    record.name.eq_ignore_root(name) && record.name.num_labels() == name.num_labels()
}
