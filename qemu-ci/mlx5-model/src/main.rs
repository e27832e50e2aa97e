// SPDX-License-Identifier: GPL-2.0

//! The command line: `run` starts the model, `ctl` talks to it.

use mlx5_model::device::{Config, Device, Event, UPLINK};
use mlx5_model::front::{Front, Regs};
use mlx5_model::port::Port;
use mlx5_model::vfio_user::{listen, serve, Dma, Guest, Irqs};
use mlx5_model::{control, log, pci, tap};
use serde_json::{Map, Value};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{channel, Sender};
use std::sync::Arc;
use std::thread;

const USAGE: &str = "\
A software model of an mlx5 network device, for the unmodified mlx5_core driver.

usage: mlx5-model run --dir DIR [options]
       mlx5-model ctl DIR REQUEST [KEY=VALUE...]
       mlx5-model --help

run: serve the device until it is ended. DIR is made if need be and gets
  device.sock     the vfio-user socket, for QEMU's vfio-user-pci
  control.sock    one JSON object a line; `mlx5-model ctl` speaks it
  uplink.sock     the wire: a datagram socket, one frame a datagram
  vf0.sock ...    the far side of each virtual function, likewise
A datagram socket sends to whoever sent to it last; an empty datagram counts.

options
  --vfs N             functions that get a representor (default 4, at most 120)
  --tap PORT=NAME     the far side of PORT (uplink, vf0, ...) is also the TAP
                      device NAME, made here if there is none (may be repeated)
  --cmd-timeout MS    how long the driver shall wait for a command (from 1000 up;
                      default: not said, and the driver waits a minute)
  --no-metadata       without metadata registers, access lists and chains
  --no-termination    without termination tables
  --no-vxlan          without VXLAN encapsulation and decapsulation
  --log LEVEL         0 warnings, 1 events (default), 2 commands, 3 packets

requests to ctl";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["run", rest @ ..] => run(rest),
        ["ctl", dir, request, pairs @ ..] => ctl(Path::new(dir), request, pairs),
        ["--help" | "-h" | "help"] => {
            println!("{USAGE}\n{}", control::HELP);
            Ok(())
        }
        _ => Err("what to do? See mlx5-model --help".to_string()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::FAILURE
        }
    }
}

struct Options {
    dir: PathBuf,
    cfg: Config,
    /// Ports and the names of their TAP devices.
    taps: Vec<(String, String)>,
    cmd_timeout: u32,
}

fn options(args: &[&str]) -> Result<Options, String> {
    let mut dir = None;
    let mut cfg = Config {
        vfs: 4,
        metadata: true,
        termination: true,
        vxlan: true,
    };
    let mut taps: Vec<(String, String)> = Vec::new();
    let mut cmd_timeout = 0;
    let mut it = args.iter();
    while let Some(a) = it.next() {
        let mut value = || it.next().copied().ok_or(format!("{a} needs a value"));
        match *a {
            "--dir" => dir = Some(PathBuf::from(value()?)),
            "--vfs" => {
                cfg.vfs = value()?
                    .parse()
                    .ok()
                    .filter(|n| *n <= 120)
                    .ok_or("--vfs: a number from 0 to 120")?;
            }
            "--tap" => {
                let (port, name) = value()?
                    .split_once('=')
                    .ok_or("--tap: PORT=NAME, such as vf0=tap0")?;
                if taps.iter().any(|(p, n)| p == port || n == name) {
                    return Err(format!("--tap {port}={name}: one device for one port"));
                }
                taps.push((port.into(), name.into()));
            }
            "--cmd-timeout" => {
                cmd_timeout = value()?
                    .parse()
                    .ok()
                    .filter(|ms| (1000..=600_000).contains(ms))
                    .ok_or("--cmd-timeout: milliseconds, from 1000 to 600000")?;
            }
            "--no-metadata" => cfg.metadata = false,
            "--no-termination" => cfg.termination = false,
            "--no-vxlan" => cfg.vxlan = false,
            "--log" => {
                let level = value()?.parse().ok().filter(|n| *n <= 3);
                log::set_level(level.ok_or("--log: a number from 0 to 3")?);
            }
            other => return Err(format!("unknown option {other}: see mlx5-model --help")),
        }
    }
    Ok(Options {
        dir: dir.ok_or("--dir is needed: see mlx5-model --help")?,
        cfg,
        taps,
        cmd_timeout,
    })
}

fn context<T>(r: std::io::Result<T>, what: &Path) -> Result<T, String> {
    r.map_err(|e| format!("{}: {e}", what.display()))
}

/// A port with its datagram socket, and the thread that reads it.
fn open_port(
    dir: &Path,
    index: usize,
    name: String,
    vport: u16,
    tx: &Sender<Event>,
) -> Result<Port, String> {
    let path = dir.join(format!("{name}.sock"));
    if path.exists() {
        context(std::fs::remove_file(&path), &path)?;
    }
    let socket = Arc::new(context(UnixDatagram::bind(&path), &path)?);
    let mut port = Port::new(name, vport);
    port.socket = Some(socket.clone());
    let tx = tx.clone();
    thread::spawn(move || {
        let mut buf = vec![0; 65536];
        while let Ok((n, from)) = socket.recv_from(&mut buf) {
            let data = buf.get(..n).unwrap_or_default().to_vec();
            let from = (!from.is_unnamed()).then_some(from);
            if tx
                .send(Event::Frame {
                    port: index,
                    data,
                    from,
                })
                .is_err()
            {
                return;
            }
        }
    });
    // Frames to a slow peer are lost; the device does not wait for it.
    if let Some(s) = &port.socket {
        context(
            s.set_write_timeout(Some(std::time::Duration::from_millis(2))),
            &path,
        )?;
    }
    Ok(port)
}

/// Attaches a TAP device to a port, and starts the thread that reads it.
fn open_tap(ports: &mut [Port], port: &str, name: &str, tx: &Sender<Event>) -> Result<(), String> {
    let names: Vec<String> = ports.iter().map(|p| p.name.clone()).collect();
    let Some((index, p)) = ports.iter_mut().enumerate().find(|(_, p)| p.name == port) else {
        return Err(format!(
            "--tap: no port '{port}': there are {}",
            names.join(", ")
        ));
    };
    let file: Arc<File> = Arc::new(tap::open(name).map_err(|e| format!("--tap {name}: {e}"))?);
    p.tap = Some(file.clone());
    let tx = tx.clone();
    thread::spawn(move || {
        let mut buf = vec![0; 65536];
        loop {
            match (&mut &*file).read(&mut buf) {
                Ok(n) => {
                    let data = buf.get(..n).unwrap_or_default().to_vec();
                    let e = Event::Frame {
                        port: index,
                        data,
                        from: None,
                    };
                    if tx.send(e).is_err() {
                        return;
                    }
                }
                // The device is down, or has moved to another namespace.
                Err(_) => thread::sleep(std::time::Duration::from_millis(100)),
            }
        }
    });
    Ok(())
}

fn run(args: &[&str]) -> Result<(), String> {
    let o = options(args)?;
    context(std::fs::create_dir_all(&o.dir), &o.dir)?;
    // First, so that a second model in the same folder ends here.
    let control_path = o.dir.join("control.sock");
    let control = context(listen(&control_path), &control_path)?;
    let device_path = o.dir.join("device.sock");
    let device = context(listen(&device_path), &device_path)?;
    let (tx, events) = channel();
    let mut ports = vec![open_port(&o.dir, 0, "uplink".into(), UPLINK, &tx)?];
    for n in 0..o.cfg.vfs {
        ports.push(open_port(
            &o.dir,
            n + 1,
            format!("vf{n}"),
            n as u16 + 1,
            &tx,
        )?);
    }
    for (port, name) in &o.taps {
        open_tap(&mut ports, port, name, &tx)?;
    }
    let guest = Arc::new(Guest {
        dma: Dma::default(),
        irqs: Irqs::new(pci::VECTORS),
    });
    let regs = Arc::new(Regs::default());
    regs.cmd_timeout.store(o.cmd_timeout, Relaxed);
    let front = Front::new(regs.clone(), tx.clone());
    let mut dev = Device::new(o.cfg, guest.clone(), regs, ports);
    thread::spawn(move || control_server(&control, &tx));
    thread::spawn(move || dev.run(&events));
    log::info(format_args!("ready: {}", device_path.display()));
    for sock in device.incoming() {
        let sock = context(sock, &device_path)?;
        log::info(format_args!("a machine is attached"));
        match serve(&sock, &guest, &front) {
            Ok(()) => log::info(format_args!("the machine is gone")),
            Err(e) => log::error(format_args!("vfio-user: {e}")),
        }
        guest.irqs.reset();
        guest.dma.clear();
        mlx5_model::transport::PciFunction::reset(&front);
    }
    Ok(())
}

fn control_server(listener: &UnixListener, tx: &Sender<Event>) {
    for sock in listener.incoming().flatten() {
        let tx = tx.clone();
        // A client that goes away in the middle is no error of the model's.
        thread::spawn(move || drop(control_client(&sock, &tx)));
    }
}

fn control_client(sock: &UnixStream, tx: &Sender<Event>) -> std::io::Result<()> {
    for line in BufReader::new(sock).lines() {
        let line = line?;
        let answer = match serde_json::from_str::<Value>(&line) {
            Ok(request) if request.get("cmd").and_then(Value::as_str) == Some("quit") => {
                log::info(format_args!("asked to end"));
                (&mut &*sock).write_all(b"{\"ok\":true}\n")?;
                std::process::exit(0);
            }
            Ok(request) => {
                let (reply, result) = channel();
                drop(tx.send(Event::Control { request, reply }));
                result.recv().unwrap_or_else(
                    |_| serde_json::json!({"ok": false, "error": "the device is gone"}),
                )
            }
            Err(e) => serde_json::json!({"ok": false, "error": format!("not JSON: {e}")}),
        };
        (&mut &*sock).write_all(format!("{answer}\n").as_bytes())?;
    }
    Ok(())
}

fn ctl(dir: &Path, request: &str, pairs: &[&str]) -> Result<(), String> {
    let path = dir.join("control.sock");
    let mut m = Map::new();
    m.insert("cmd".into(), request.into());
    for p in pairs {
        let (k, v) = p.split_once('=').ok_or(format!("'{p}' is not KEY=VALUE"))?;
        m.insert(k.into(), v.into());
    }
    let sock = context(UnixStream::connect(&path), &path)?;
    context(
        (&mut &sock).write_all(format!("{}\n", Value::Object(m)).as_bytes()),
        &path,
    )?;
    let mut line = String::new();
    context(BufReader::new(&sock).read_line(&mut line), &path)?;
    let v: Value = serde_json::from_str(&line).map_err(|e| format!("the model's answer: {e}"))?;
    println!("{v:#}");
    if v.get("ok") == Some(&Value::Bool(true)) {
        return Ok(());
    }
    Err(format!("the model refused '{request}'"))
}
