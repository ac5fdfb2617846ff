//! `loadtest compare`: a bare axum + rustls echo and the product, alternately in one run, on the same machine with the same client.
//! It measures what promise P1 states and says whether it is kept; it never compares figures of two runs.

pub mod echo;
mod peak;
mod report;
mod started;

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Uri};
use thiserror::Error;

use crate::client::{self, ClientError};
use crate::cpu::Process;
use crate::dev::{self, DevError};
use crate::exit::{UNREACHABLE, USAGE, WRONG_ANSWER, complain, interrupted};
use crate::line::{Line, LineError, Route, RouteError};
use crate::verify::judge::{self, Fault};
use peak::{Asked, Kind, PeakError, Right, Sample, Server};
use report::{Report, Verdict};
use started::{Echo, Product, StartError};

/// The payload that the promise names, in bytes.
const PAYLOAD_BYTES: usize = 64;
const ASSOCIATED_DATA: &[u8] = b"compare";
/// Pairs of a full and of a short run.
const PAIRS: u16 = 5;
const PAIRS_SHORT: u16 = 2;
/// How long one server is measured at a time, in a full and in a short run.
const SPAN: Duration = Duration::from_secs(3);
const SPAN_SHORT: Duration = Duration::from_millis(500);

/// What `loadtest compare` is told.
#[derive(clap::Args)]
#[command(after_help = "\
A run alternates: echo, product, plain echo, then product, echo, plain echo, and so on, for wrap and for unwrap. The echo has the \
product's accept loop, TLS settings, runtime and allocator, and answers with the body it was sent; the plain echo is axum::serve as \
it comes, and shows that the first one is no slower. Without --dev the server under test is started in a temporary folder.

Exit codes: 0 compared, and of a full run: the promise is kept; 1 a wrong answer, a void comparison, or a full run with less than \
80 %; 64 usage; 69 a server cannot be started or reached. A short run says its figures and judges no speed.

Examples:
  loadtest compare
  loadtest compare --short --json
  loadtest compare --dev ./ekm-dev --connections 32")]
pub struct Args {
    /// Data folder of a running `ekm dev` on this machine; default: one is started and stopped
    #[arg(long, value_name = "DIR", conflicts_with = "ekm")]
    dev: Option<PathBuf>,
    /// The server's program; default: `ekm` beside this one
    #[arg(long, value_name = "FILE")]
    ekm: Option<PathBuf>,
    /// Two short pairs instead of five: shows that it works, and judges no speed
    #[arg(long)]
    short: bool,
    /// Pairs of measurements; default 5, or 2 with --short
    #[arg(long, value_name = "N")]
    pairs: Option<NonZeroU16>,
    /// Connections, each with one call under way
    #[arg(long, value_name = "C", default_value = "64")]
    connections: NonZeroU16,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

/// Why there is no comparison.
#[derive(Debug, Error)]
enum CompareError {
    /// The folder does not describe a server.
    #[error(transparent)]
    Dev(#[from] DevError),
    /// A server could not be started.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Its name leads nowhere.
    #[error(transparent)]
    Address(#[from] ClientError),
    /// It cannot be trusted.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// It cannot be reached.
    #[error(transparent)]
    Line(#[from] LineError),
    /// Its first wrap was not right.
    #[error("the first wrap was not answered rightly")]
    Wrong(#[from] Fault),
    /// A measurement failed.
    #[error("{server} under load: {kind:?}")]
    Peak {
        server: &'static str,
        kind: Kind,
        #[source]
        cause: PeakError,
    },
    /// What the folder says cannot stand in a request.
    #[error("dev.json says what cannot stand in a request: {0}")]
    Unsendable(#[from] http::Error),
    /// No process id beside the address.
    #[error("dev.json has no pid, so the server's processor time cannot be measured")]
    NoPid,
}

impl CompareError {
    const fn code(&self) -> u8 {
        match self {
            Self::Dev(_) | Self::Route(_) | Self::Unsendable(_) | Self::NoPid => USAGE,
            Self::Start(_) | Self::Address(_) | Self::Line(_) => UNREACHABLE,
            Self::Wrong(_) => WRONG_ANSWER,
            Self::Peak { cause, .. } => match cause {
                PeakError::Line(_) | PeakError::Nothing(_) | PeakError::Cpu(_) => UNREACHABLE,
                PeakError::Wrong(_) | PeakError::NoEcho { .. } => WRONG_ANSWER,
            },
        }
    }
}

/// Compares, prints, and judges.
pub async fn main(args: &Args) -> ExitCode {
    let compared = tokio::select! {
        compared = compare(args) => compared,
        // dropping the comparison ends what it started
        code = interrupted() => return ExitCode::from(code),
    };
    let report = match compared {
        Ok(report) => report,
        Err(error) => return complain(&error, error.code()),
    };
    let mut out = io::stdout().lock();
    let printed = if args.json { report.print_json(&mut out) } else { report.print_text(&mut out) };
    match (printed, report.verdict()) {
        (Err(error), _) => complain(&error, WRONG_ANSWER),
        (Ok(()), Verdict::Kept | Verdict::NotJudged) => ExitCode::SUCCESS,
        (Ok(()), Verdict::NotKept | Verdict::Void) => ExitCode::from(WRONG_ANSWER),
    }
}

async fn compare(args: &Args) -> Result<Report, CompareError> {
    let started = match &args.dev {
        Some(_) => None,
        None => Some(Product::start(args.ekm.as_deref()).await?),
    };
    let folder = started.as_ref().map(Product::folder).or_else(|| args.dev.clone()).expect("one of the two is there");
    let dev = dev::describe(&folder)?;
    if dev.pid == 0 {
        return Err(CompareError::NoPid);
    }
    let subject = Subject::of(&dev).await?;
    let (mirrored, plain) = (Echo::start(echo::Form::Mirrored)?, Echo::start(echo::Form::Plain)?);
    let (pairs, span) = if args.short { (PAIRS_SHORT, SPAN_SHORT) } else { (PAIRS, SPAN) };
    let mut report = Report::new(if args.short { report::Length::Short } else { report::Length::Full });
    let bench = Bench {
        connections: args.connections.get(),
        span,
        echo: server_of(&mirrored)?,
        plain: server_of(&plain)?,
        subject,
    };
    for pair in 0..args.pairs.map_or(pairs, NonZeroU16::get) {
        for kind in [Kind::Wrap, Kind::Unwrap] {
            report.add(kind, bench.pair(pair, kind).await?);
        }
    }
    Ok(report)
}

/// The product, and the calls that it answers.
struct Subject {
    server: Server,
    wrap: Asked,
    unwrap: Asked,
}

impl Subject {
    async fn of(dev: &dev::DevDescription) -> Result<Self, CompareError> {
        let address = client::address_of(&dev.server).await?;
        let server = Server {
            route: Route::new(address, &dev.server.hostname, &dev.server.ca_pem)?,
            host: header(&client::authority_of(&dev.server))?,
            process: Process::Other(dev.pid),
        };
        let authorization = header(&format!("Bearer {}", dev.server.token))?;
        let mut payload = vec![0; PAYLOAD_BYTES];
        getrandom::fill(&mut payload).expect("the machine has a source of random bytes");
        let path = |verb| -> Result<Uri, CompareError> {
            Ok(format!("/{}:{verb}", dev.server.key_path).parse::<Uri>().map_err(http::Error::from)?)
        };
        let wrap = Asked {
            uri: path("wrap")?,
            authorization: authorization.clone(),
            body: peak::body(Kind::Wrap, &payload, ASSOCIATED_DATA),
            right: Right::Blob,
        };
        let call = crate::line::Call {
            uri: wrap.uri.clone(),
            host: server.host.clone(),
            authorization: Some(authorization.clone()),
            body: wrap.body.clone(),
        };
        let blob = judge::wrapped_blob(&Line::open(&server.route).await?.call(call).await?)?;
        let body = peak::body(Kind::Unwrap, &blob, ASSOCIATED_DATA);
        let unwrap = Asked { uri: path("unwrap")?, authorization, body, right: Right::Plaintext(Bytes::from(payload)) };
        Ok(Self { server, wrap, unwrap })
    }

    const fn asked(&self, kind: Kind) -> &Asked {
        match kind {
            Kind::Wrap => &self.wrap,
            Kind::Unwrap => &self.unwrap,
        }
    }
}

/// The three servers, and how they are driven.
struct Bench {
    connections: u16,
    span: Duration,
    echo: Server,
    plain: Server,
    subject: Subject,
}

/// One measurement of each, taken right after one another.
pub struct Pair {
    pub echo: Sample,
    pub product: Sample,
    pub plain: Sample,
}

impl Bench {
    /// The product comes first in every second pair, so that a drift of the machine cancels out.
    async fn pair(&self, number: u16, kind: Kind) -> Result<Pair, CompareError> {
        let product_first = number % 2 == 1;
        let early = if product_first { Some(self.product(kind).await?) } else { None };
        let echo = self.echo(&self.echo, "the echo", kind).await?;
        let product = match early {
            Some(product) => product,
            None => self.product(kind).await?,
        };
        let plain = self.echo(&self.plain, "the plain echo", kind).await?;
        Ok(Pair { echo, product, plain })
    }

    async fn product(&self, kind: Kind) -> Result<Sample, CompareError> {
        peak::measure(&self.subject.server, self.subject.asked(kind), self.connections, self.span)
            .await
            .map_err(|cause| CompareError::Peak { server: "the product", kind, cause })
    }

    async fn echo(&self, server: &Server, name: &'static str, kind: Kind) -> Result<Sample, CompareError> {
        // the very request that the product gets
        let asked = Asked { right: Right::Same, ..self.subject.asked(kind).clone() };
        peak::measure(server, &asked, self.connections, self.span).await.map_err(|cause| CompareError::Peak {
            server: name,
            kind,
            cause,
        })
    }
}

fn server_of(echo: &Echo) -> Result<Server, CompareError> {
    let SocketAddr::V4(address) = echo.address else { unreachable!("the echo listens on an IPv4 address") };
    Ok(Server {
        route: Route::new(address.into(), "localhost", echo.certificate.as_bytes())?,
        host: header(&format!("localhost:{}", address.port()))?,
        process: Process::Other(echo.pid()),
    })
}

fn header(text: &str) -> Result<HeaderValue, CompareError> {
    Ok(HeaderValue::from_str(text).map_err(http::Error::from)?)
}
