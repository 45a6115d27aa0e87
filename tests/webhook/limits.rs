//! The server in this process, with limits small enough to reach.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use anyhow::{Result, ensure};
use arc_swap::ArcSwap;
use armorgate::{
    admission::{
        Gate, Mutator, NamespaceModes, RequestLimits, ServerLimits, Shutdown, runtime, serve,
        webhook_router,
    },
    apparmor::include::NoIncludes,
    cluster::Nodes,
    image::registry::RegistryOptions,
    telemetry::Metrics,
    verdict::{ObjectTexts, Policy, ProfileTexts, Profiles},
};

use crate::support::{Answer, parse_answer, wait_until};

struct Small {
    address: SocketAddr,
    metrics: Arc<Metrics>,
    stop: Shutdown,
    _runtime: tokio::runtime::Runtime,
}

impl Small {
    /// Plain HTTP: what is tested here lies below or above TLS.
    fn start(requests: RequestLimits, server: ServerLimits) -> Result<Self> {
        let runtime = runtime()?;
        let listener = runtime.block_on(tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let address = listener.local_addr()?;
        let profiles: Arc<dyn Profiles> = Arc::new(ProfileTexts::default());
        let gate = Arc::new(Gate {
            policy: ArcSwap::from_pointee(Policy::default()),
            profiles: ArcSwap::from_pointee(profiles),
            objects: ObjectTexts::new(Arc::new(NoIncludes)),
            namespaces: NamespaceModes::Standalone,
            nodes: Nodes::new(None),
        });
        let metrics = Arc::new(Metrics::default());
        let router = webhook_router(
            Arc::new(Mutator::new(gate, RegistryOptions::default(), None)),
            Arc::clone(&metrics),
            requests,
        );
        let stop = Shutdown::new();
        runtime.spawn(serve(
            listener,
            None,
            router,
            server,
            metrics.connections.clone(),
            stop.clone(),
        ));
        Ok(Self {
            address,
            metrics,
            stop,
            _runtime: runtime,
        })
    }

    fn connect(&self) -> Result<TcpStream> {
        let stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(stream)
    }
}

const EMPTY: &[u8] =
    b"POST /validate HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}";

fn answer(mut stream: TcpStream) -> Result<Answer> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    parse_answer(&bytes)
}

#[test]
fn one_request_too_many_is_shed_with_retry_after() -> Result<()> {
    let requests = RequestLimits {
        in_flight: 1,
        ..RequestLimits::default()
    };
    let small = Small::start(requests, ServerLimits::default())?;
    let mut first = small.connect()?;
    let (head, last) = EMPTY.split_at(EMPTY.len() - 1);
    first.write_all(head)?;
    wait_until("in flight", 5, || {
        Ok((small.metrics.in_flight.get() == 1).then_some(()))
    })?;
    let mut second = small.connect()?;
    second.write_all(EMPTY)?;
    let mut bytes = Vec::new();
    second.read_to_end(&mut bytes)?;
    let text = String::from_utf8(bytes)?;
    ensure!(
        text.starts_with("HTTP/1.1 503") && text.contains("retry-after: 1"),
        "{text}"
    );
    ensure!(small.metrics.shed.get() == 1);
    first.write_all(last)?;
    let first = answer(first)?;
    ensure!(first.status == 400, "the one before is answered: {first:?}");
    Ok(())
}

#[test]
fn one_connection_too_many_waits_until_an_idle_one_is_closed() -> Result<()> {
    let idle = Duration::from_millis(500);
    let server = ServerLimits {
        connections: 1,
        idle,
        ..ServerLimits::default()
    };
    let small = Small::start(RequestLimits::default(), server)?;
    let mut silent = small.connect()?;
    wait_until("accepted", 5, || {
        Ok((small.metrics.connections.get() == 1).then_some(()))
    })?;
    let mut second = small.connect()?;
    second.write_all(EMPTY)?;
    ensure!(silent.read(&mut [0; 1])? == 0, "closed for idling");
    let second = answer(second)?;
    ensure!(second.status == 400, "{second:?}");
    Ok(())
}

#[test]
fn a_stopping_server_lets_open_requests_end() -> Result<()> {
    let small = Small::start(RequestLimits::default(), ServerLimits::default())?;
    let mut open = small.connect()?;
    let (head, last) = EMPTY.split_at(EMPTY.len() - 1);
    open.write_all(head)?;
    wait_until("in flight", 5, || {
        Ok((small.metrics.in_flight.get() == 1).then_some(()))
    })?;
    small.stop.start();
    wait_until("not listening", 5, || {
        Ok(TcpStream::connect(small.address).is_err().then_some(()))
    })?;
    open.write_all(last)?;
    let open = answer(open)?;
    ensure!(open.status == 400, "{open:?}");
    Ok(())
}

#[test]
fn who_hangs_up_is_not_counted_for_ever() -> Result<()> {
    let small = Small::start(RequestLimits::default(), ServerLimits::default())?;
    let mut leaving = small.connect()?;
    leaving.write_all(EMPTY.split_at(EMPTY.len() - 1).0)?;
    let in_flight = |count: i64| {
        wait_until("counted", 5, || {
            Ok((small.metrics.in_flight.get() == count).then_some(()))
        })
    };
    in_flight(1)?;
    drop(leaving);
    in_flight(0)?;
    wait_until("closed", 5, || {
        Ok((small.metrics.connections.get() == 0).then_some(()))
    })
}
