//! A responder on loopback, on a port of its own.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use hickory_proto::rr::Record;
use hickory_proto::rr::rdata::A;
use revouch_validator::rr::RecordData;

use super::*;

/// Somebody on the link who answers the first question by `respond`, from the given port or another one.
struct Responder {
    socket: UdpSocket,
    port: u16,
}

impl Responder {
    fn start() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).unwrap();
        socket.bind_device(Some(b"lo")).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)).into()).unwrap();
        socket.join_multicast_v4(GROUP_V4.ip(), &Ipv4Addr::LOCALHOST).unwrap();
        let port = socket.local_addr().unwrap().as_socket_ipv4().unwrap().port();
        Self { socket: UdpSocket::from_std(socket.into()).unwrap(), port }
    }

    fn asked_by(&self) -> Multicast {
        Multicast {
            links: vec![Link::named("lo").unwrap()],
            group_v4: SocketAddrV4::new(*GROUP_V4.ip(), self.port),
            group_v6: SocketAddrV6::new(Ipv6Addr::LOCALHOST, self.port, 0, 0),
            wait: Duration::from_millis(400),
        }
    }

    /// Answers every question with what `respond` makes of it.
    async fn run(&self, respond: impl Fn(Message) -> Vec<(Option<UdpSocket>, Message)>) {
        let mut buffer = [0; 1500];
        loop {
            let (length, from) = self.socket.recv_from(&mut buffer).await.unwrap();
            for (other, message) in respond(Message::from_vec(&buffer[..length]).unwrap()) {
                other
                    .as_ref()
                    .unwrap_or(&self.socket)
                    .send_to(&message.to_vec().unwrap(), from)
                    .await
                    .unwrap();
            }
        }
    }
}

/// A right response to a question for A records.
fn answered(question: &Message) -> Message {
    let mut response = Message::response(question.metadata.id, OpCode::Query);
    response.add_queries(question.queries.clone());
    let owner = question.queries[0].name().clone();
    response.add_answer(Record::from_rdata(owner, 120, RData::A(A::new(169, 254, 1, 2))));
    response
}

async fn ask(responder: &Responder, name: &str) -> Result<Answer, DnsFailure> {
    let deadline = Instant::now() + Duration::from_secs(20);
    responder.asked_by().ask(&name.parse().unwrap(), RrType::A, &QueryBudget::new(1), deadline).await
}

#[tokio::test]
async fn a_response_from_the_link_is_an_exempt_answer() {
    let responder = Responder::start();
    let answer = tokio::select! {
        answer = ask(&responder, "Host.local") => answer.unwrap(),
        () = responder.run(|q| vec![(None, answered(&q))]) => unreachable!(),
    };
    assert_eq!(answer.records, [RecordData::A(Ipv4Addr::new(169, 254, 1, 2))]);
    assert_eq!((answer.status, answer.negative, answer.ttl), (DnssecStatus::Exempt, None, 10));
}

#[tokio::test]
async fn forged_and_wrong_responses_are_passed_over() {
    let responder = Responder::start();
    let respond = |question: Message| {
        let std = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        std.set_nonblocking(true).unwrap();
        let other_port = UdpSocket::from_std(std).unwrap();
        let mut other_id = answered(&question);
        other_id.metadata.id ^= 1;
        let mut other_question = answered(&question);
        other_question.queries[0].set_name(Name::from_ascii("evil.local.").unwrap());
        let mut other_owner = answered(&question);
        other_owner.answers[0].name = Name::from_ascii("evil.local.").unwrap();
        let mut no_response = answered(&question);
        no_response.metadata.message_type = MessageType::Query;
        let wrong = [other_id, other_question, other_owner, no_response].map(|m| (None, m));
        wrong.into_iter().chain([(Some(other_port), answered(&question))]).collect()
    };
    let answer = tokio::select! {
        answer = ask(&responder, "host.local") => answer.unwrap(),
        () = responder.run(respond) => unreachable!(),
    };
    assert_eq!((answer.records.len(), answer.negative, answer.ttl), (0, Some(Negative::NxDomain), 0));
}

#[tokio::test]
async fn names_of_other_zones_are_never_sent_to_the_link() {
    let responder = Responder::start();
    for name in ["host.example", "local.example", "notlocal", "4.3.2.10.in-addr.arpa"] {
        assert_eq!(ask(&responder, name).await, Err(DnsFailure::Refused), "{name}");
    }
}

#[tokio::test]
async fn without_links_budget_or_time_there_is_no_answer() {
    let responder = Responder::start();
    let mut multicast = responder.asked_by();
    let name: DnsName = "host.local".parse().unwrap();
    let later = Instant::now() + Duration::from_secs(20);
    let empty = QueryBudget::new(0);
    assert_eq!(multicast.ask(&name, RrType::A, &empty, later).await, Err(DnsFailure::Budget));
    let soon = Instant::now() + Duration::from_millis(20);
    assert_eq!(multicast.ask(&name, RrType::A, &QueryBudget::new(1), soon).await, Err(DnsFailure::Timeout));
    multicast.links.clear();
    assert_eq!(multicast.ask(&name, RrType::A, &QueryBudget::new(1), later).await, Err(DnsFailure::Refused));
}
