//! `record`: a proxy between a client and a server that writes down what passes.
//!
//! Two ways: cells of a matrix, whose builds wireskew starts itself (a run with `--save`); or a proxy by hand between
//! peers that the user starts.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use session::proxy::Proxy;
use session::{Address, Recorder};
use transcript::{ConnId, Endpoint, EventKind, ExitStatus, Provenance, Transcript};
use wire::Direction;

use crate::args::{Global, ProxyArgs, Record, Run, Select};
use crate::exit::Exit;
use crate::{Done, Failure, run, show, terminal};

pub(crate) fn record(global: &Global, args: &Record) -> Done {
    if let (Some(listen), Some(forward), Some(out)) =
        (&args.proxy.listen, &args.proxy.forward, &args.proxy.out)
    {
        return by_hand(&args.proxy, &address(listen), &address(forward), out);
    }
    let select = Select {
        cells: args.cells.clone(),
        matrix: args.matrix.clone(),
        builds: args.builds.clone(),
        ..Select::default()
    };
    let results = PathBuf::from("target/wireskew/record");
    run::run(global, &Run { select, save: true, results, ..Run::default() })
}

/// `@name` is an abstract socket, `127.0.0.1:7000` a TCP port, everything else a path.
fn address(text: &str) -> Address {
    match (text.strip_prefix('@'), text.parse()) {
        (Some(name), _) => Address::Abstract(name.as_bytes().to_vec()),
        (None, Ok(port)) => Address::Tcp(port),
        (None, Err(_)) => Address::Path(PathBuf::from(text)),
    }
}

fn by_hand(args: &ProxyArgs, listen: &Address, forward: &Address, out: &Path) -> Done {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::setup)?;
    let recorder = Recorder::new();
    let code = runtime.block_on(pass_on(args, listen, forward, &recorder))?;
    let mut transcript = Transcript { provenance: provenance(args, forward)?, events: recorder.take() };
    if transcript.events.is_empty() {
        return Err(Failure::text(Exit::NothingRan, "nobody connected; nothing is written"));
    }
    show::give_captures(&mut transcript).map_err(Failure::setup)?;
    transcript::fixture::store(out, &transcript).map_err(Failure::setup)?;
    terminal::print(&format!("{}: {} events\n", out.display(), transcript.events.len()));
    Ok(code)
}

/// Passes everything on until the command has ended, or until Ctrl-C where there is none.
async fn pass_on(
    args: &ProxyArgs,
    listen: &Address,
    forward: &Address,
    recorder: &Recorder,
) -> Result<ExitCode, Failure> {
    let cannot = |error| Failure::text(Exit::Setup, format!("cannot listen on `{listen}`: {error}"));
    let proxy = Proxy::start(listen.clone(), forward.clone(), recorder.clone(), ConnId(1)).map_err(cannot)?;
    let code = match args.command.split_first() {
        None => {
            eprintln!("recording from {listen} to {forward}; Ctrl-C ends it");
            tokio::signal::ctrl_c().await.map_err(Failure::setup)?;
            Exit::AsExpected
        }
        Some((program, rest)) => {
            let mut child = tokio::process::Command::new(program);
            child.args(rest).kill_on_drop(true);
            let mut child = child
                .spawn()
                .map_err(|error| Failure::text(Exit::Setup, format!("cannot run `{program}`: {error}")))?;
            tokio::select! {
                status = child.wait() => {
                    let status = session::process::exit_status(status.map_err(Failure::setup)?);
                    recorder.record(ConnId(0), Direction::ToServer, EventKind::Exit(status));
                    if let ExitStatus::Code(0) = status { Exit::AsExpected } else { Exit::Unexpected }
                }
                _ = tokio::signal::ctrl_c() => Exit::Incomplete,
            }
        }
    };
    proxy.stop().await;
    Ok(code.into())
}

fn provenance(args: &ProxyArgs, server: &Address) -> Result<Provenance, Failure> {
    let clock = run::clock();
    let protocol = run::protocol(args.protocol.as_deref().unwrap_or_default())?;
    let endpoint = |version: &str, command: &[String]| Endpoint {
        id: version.to_owned(),
        name: protocol.alias().to_owned(),
        version: Some(version.to_owned()),
        command: command.to_vec(),
        ..Endpoint::default()
    };
    Ok(Provenance {
        protocol: protocol.name().to_owned(),
        case: format!("client/{}", args.operation),
        recorder: format!("wireskew {}", env!("CARGO_PKG_VERSION")),
        recorded: clock.today.to_string(),
        transport: server.transport().word().to_owned(),
        environment: clock.environment,
        client: endpoint(&args.client, &args.command),
        server: endpoint(&args.server, &[]),
        ..Provenance::default()
    })
}
