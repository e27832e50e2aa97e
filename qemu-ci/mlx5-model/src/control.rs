// SPDX-License-Identifier: GPL-2.0

//! The control socket: one JSON object a line in, one out.

use crate::cmd;
use crate::decode;
use crate::device::{Device, MANAGER};
use crate::fault::{Fault, Kind};
use crate::log;
use crate::port::{Count, Responder, UdpFrame};
use crate::rx::Received;
use crate::steer::{Dest, Miss};
use crate::stream::{Arrived, Stream};
use serde_json::{json, Map, Value};
use std::sync::atomic::Ordering::Relaxed;

/// Requests, for the help text.
pub const HELP: &str = "\
  status                          objects, errors, link, commands refused
  commands                        how often each command was run
  ports                           counters of every port and stream, and of the
                                  frames that the driver got and sent
  reset-counters                  set the ports' counters to zero
  flows                           tables, groups and entries with their counters
  counter id=N                    one flow counter
  gen port=P [count=N] [rate=PPS] [size=60] [stream=1] [flows=1] [dst=MAC] [src=MAC]
      [src_ip=A] [dst_ip=A] [sport=N] [dport=N] [vlan=TCI]
                                  send UDP frames into the switch from port P
  gen-status                      streams: sent, whether done, and what arrived at each
                                  port: packets, lost, latency
  gen-stop                        stop all streams
  send port=P hex=BYTES           send one frame into the switch from port P
  responder port=P mac=MAC ip=A   answer ARP and ping at port P
  capture port=P on=true|false    keep the last frames that come out at P
  captured port=P                 those frames, in hexadecimal
  completions [clear=true]        the last frames that the driver received: queue,
                                  flow tag, metadata, hash, checksum flags
  link up=true|false              plug and unplug the wire's cable
  fault command=NAME kind=K [times=1] [skip=0] [ms=0]
                                  K: no-resources limit bad-param internal timeout late
  faults-clear                    forget faults that have not happened
  answer-late                     answer the commands that a timeout left unanswered
  cmd-timeout ms=N                how long the driver shall wait for a command, from its
                                  next start on (0: its own limit, a minute)
  room [entries=N]                no more flow table entries than N; without it, any
  health syndrome=N [stopped=true|false]
                                  a health error, or a health counter that stands still
  log level=0..3                  what is written to the log
  quit                            end the model";

fn int(r: &Value, key: &str, default: u64) -> Result<u64, String> {
    match r.get(key) {
        None => Ok(default),
        Some(Value::Number(n)) => n.as_u64().ok_or(format!("{key}: not a number from 0 up")),
        Some(Value::String(s)) => {
            let parsed = s
                .strip_prefix("0x")
                .map_or_else(|| s.parse(), |h| u64::from_str_radix(h, 16));
            parsed.map_err(|_| format!("{key}: '{s}' is no number"))
        }
        Some(other) => Err(format!("{key}: '{other}' is no number")),
    }
}

fn flag(r: &Value, key: &str) -> Result<bool, String> {
    match r.get(key) {
        Some(Value::Bool(b)) => Ok(*b),
        Some(Value::String(s)) => s.parse().map_err(|_| format!("{key}: true or false")),
        _ => Err(format!("{key}=true or {key}=false is needed")),
    }
}

fn text<'a>(r: &'a Value, key: &str) -> Result<&'a str, String> {
    r.get(key)
        .and_then(Value::as_str)
        .ok_or(format!("{key}=... is needed"))
}

/// `02:00:00:00:00:01`.
pub fn parse_mac(s: &str) -> Option<[u8; 6]> {
    let parts: Vec<u8> = s
        .split(':')
        .map(|p| u8::from_str_radix(p, 16))
        .collect::<Result<_, _>>()
        .ok()?;
    parts.try_into().ok()
}

fn mac(r: &Value, key: &str, default: [u8; 6]) -> Result<[u8; 6], String> {
    match r.get(key).and_then(Value::as_str) {
        None => Ok(default),
        Some(s) => parse_mac(s).ok_or(format!("{key}: '{s}' is no Ethernet address")),
    }
}

fn ip(r: &Value, key: &str, default: [u8; 4]) -> Result<[u8; 4], String> {
    match r.get(key).and_then(Value::as_str) {
        None => Ok(default),
        Some(s) => s
            .parse::<std::net::Ipv4Addr>()
            .map(|a| a.octets())
            .map_err(|_| format!("{key}: '{s}' is no IPv4 address")),
    }
}

fn port(dev: &Device, r: &Value) -> Result<usize, String> {
    let name = text(r, "port")?;
    dev.ports
        .iter()
        .position(|p| p.name == name)
        .ok_or_else(|| {
            let names: Vec<&str> = dev.ports.iter().map(|p| p.name.as_str()).collect();
            format!("no port '{name}': there are {}", names.join(", "))
        })
}

fn unhex(s: &str) -> Result<Vec<u8>, String> {
    if s.len() % 2 != 0 {
        return Err("hex: an odd number of digits".into());
    }
    let pairs = s.as_bytes().chunks_exact(2);
    pairs
        .map(|p| {
            std::str::from_utf8(p)
                .ok()
                .and_then(|p| u8::from_str_radix(p, 16).ok())
                .ok_or("hex: not hexadecimal".into())
        })
        .collect()
}

fn hex(d: &[u8]) -> String {
    decode::hex(d)
}

/// Answers one request.
pub fn run(dev: &mut Device, r: &Value) -> Value {
    match answer(dev, r) {
        Ok(Value::Object(mut m)) => {
            m.insert("ok".into(), true.into());
            Value::Object(m)
        }
        Ok(v) => json!({ "ok": true, "value": v }),
        Err(e) => json!({ "ok": false, "error": e }),
    }
}

fn answer(dev: &mut Device, r: &Value) -> Result<Value, String> {
    match text(r, "cmd")? {
        "status" => Ok(status(dev)),
        "commands" => Ok(json!({ "commands": dev.commands() })),
        "ports" => Ok(ports(dev)),
        "reset-counters" => {
            for p in &mut dev.ports {
                (p.sent, p.received, p.dropped, p.bad_sums) = Default::default();
                p.sink = Default::default();
            }
            Ok(json!({}))
        }
        "flows" => Ok(flows(dev)),
        "counter" => {
            let id = int(r, "id", 0)? as u32;
            let c = dev
                .flow
                .counters
                .get(id)
                .ok_or(format!("no flow counter {id}"))?;
            Ok(json!({ "packets": c.packets, "bytes": c.bytes }))
        }
        "gen" => generate(dev, r),
        "gen-status" => {
            let list: Vec<Value> = dev.streams.iter().map(|s| stream(dev, s)).collect();
            Ok(json!({ "streams": list }))
        }
        "gen-stop" => {
            dev.streams.clear();
            Ok(json!({}))
        }
        "send" => {
            let p = port(dev, r)?;
            dev.from_port(p, unhex(text(r, "hex")?)?);
            Ok(json!({}))
        }
        "responder" => {
            let p = port(dev, r)?;
            let host = Responder {
                mac: mac(r, "mac", [2, 0, 0, 0, 0, 1])?,
                ip: ip(r, "ip", [0; 4])?,
            };
            if let Some(p) = dev.ports.get_mut(p) {
                p.responder = Some(host);
            }
            Ok(json!({}))
        }
        "capture" => {
            let (p, on) = (port(dev, r)?, flag(r, "on")?);
            if let Some(p) = dev.ports.get_mut(p) {
                p.capture = on.then(Default::default);
            }
            Ok(json!({}))
        }
        "captured" => {
            let p = port(dev, r)?;
            let kept = dev.ports.get(p).and_then(|p| p.capture.as_ref());
            let list: Vec<String> = kept.into_iter().flatten().map(|f| hex(f)).collect();
            Ok(json!({ "frames": list }))
        }
        "completions" => {
            let list: Vec<Value> = dev.received.iter().map(completion).collect();
            if r.get("clear").map_or(Ok(false), |_| flag(r, "clear"))? {
                dev.received.clear();
            }
            Ok(json!({ "completions": list }))
        }
        "link" => {
            let up = flag(r, "up")?;
            dev.set_carrier(up);
            Ok(json!({}))
        }
        "fault" => {
            let kind = text(r, "kind")?;
            let kind = Kind::parse(kind, int(r, "ms", 0)?).ok_or(format!("no fault '{kind}'"))?;
            let (times, skip) = (int(r, "times", 1)?, int(r, "skip", 0)?);
            dev.faults.push(Fault {
                command: text(r, "command")?.into(),
                kind,
                skip,
                times,
            });
            Ok(json!({}))
        }
        "faults-clear" => {
            dev.faults.clear();
            Ok(json!({}))
        }
        "answer-late" => Ok(json!({ "answered": cmd::answer_late(dev) })),
        "cmd-timeout" => {
            let ms = int(r, "ms", 0)?;
            if ms != 0 && !(1000..=600_000).contains(&ms) {
                return Err("ms: 0, or from 1000 to 600000".into());
            }
            dev.regs.cmd_timeout.store(ms as u32, Relaxed);
            Ok(json!({}))
        }
        "room" => {
            dev.flow.room = match r.get("entries") {
                Some(_) => Some(int(r, "entries", 0)? as usize),
                None => None,
            };
            Ok(json!({}))
        }
        "health" => {
            let stopped = r.get("stopped").map_or(Ok(false), |_| flag(r, "stopped"))?;
            dev.set_health(int(r, "syndrome", 0)? as u32 & 0xff, stopped);
            Ok(json!({}))
        }
        "log" => {
            log::set_level(int(r, "level", 1)?.min(3) as u8);
            Ok(json!({}))
        }
        other => Err(format!("no request '{other}'")),
    }
}

fn status(dev: &Device) -> Value {
    let objects: Map<String, Value> = dev
        .res
        .counts()
        .into_iter()
        .map(|(n, c)| (n.to_string(), c.into()))
        .collect();
    let (sqs, rqs) = dev.ready_queues();
    json!({
        "initialized": dev.initialized,
        "link": dev.link_up(),
        "vports": dev.vports.len(),
        "objects": objects,
        "ready_send_queues": sqs,
        "ready_receive_queues": rqs,
        "flow_tables": dev.flow.tables.len(),
        "flow_entries": dev.flow.entry_count(),
        "flow_counters": dev.flow.counters.len(),
        "modify_headers": dev.flow.modifies.len(),
        "packet_reformats": dev.flow.reformats.len(),
        "commands": dev.stats.commands.values().sum::<u64>(),
        "refused": dev.stats.refused,
        "queue_errors": dev.stats.queue_errors,
        "rx_dropped": dev.stats.rx_dropped,
        "fdb_dropped": dev.stats.fdb_dropped,
        "resets": dev.stats.resets,
        "leftovers": dev.stats.leftovers,
        "warnings": log::WARNINGS.load(Relaxed),
        "errors": log::ERRORS.load(Relaxed),
    })
}

/// What came out of one stream at one port, of `sent` frames.
fn arrived(a: &Arrived, sent: Option<u64>) -> Value {
    json!({
        "packets": a.packets,
        "bytes": a.bytes,
        "sent": sent,
        "lost": sent.map(|s| s.saturating_sub(a.packets)),
        "out_of_order": a.out_of_order,
        "latency_ns": {
            "min": a.min_ns,
            "mean": a.sum_ns / a.packets.max(1),
            "p50_below": a.percentile(50),
            "p99_below": a.percentile(99),
            "max": a.max_ns,
        },
    })
}

/// A stream, and what came of it at each port.
fn stream(dev: &Device, s: &Stream) -> Value {
    let at: Map<String, Value> = dev
        .ports
        .iter()
        .filter_map(|p| {
            let a = p.sink.streams.get(&s.id)?;
            Some((p.name.clone(), arrived(a, Some(s.sent))))
        })
        .collect();
    let most = dev
        .ports
        .iter()
        .filter_map(|p| p.sink.streams.get(&s.id).map(|a| a.packets))
        .max();
    json!({
        "stream": s.id,
        "sent": s.sent,
        "count": s.count,
        "done": s.done(),
        // Of what arrived where most of it did: it may be sent to several ports.
        "lost": s.sent.saturating_sub(most.unwrap_or(0)),
        "arrived": at,
    })
}

fn ports(dev: &Device) -> Value {
    let mut all = Map::new();
    for p in &dev.ports {
        let mut streams = Map::new();
        for (id, a) in &p.sink.streams {
            let sent = dev.streams.iter().find(|s| s.id == *id).map(|s| s.sent);
            let row = arrived(a, sent);
            streams.insert(id.to_string(), row);
        }
        let row = json!({
            "vport": p.vport,
            "sent": { "packets": p.sent.packets, "bytes": p.sent.bytes },
            "received": { "packets": p.received.packets, "bytes": p.received.bytes },
            "dropped": p.dropped,
            "bad_checksums": p.bad_sums,
            "streams": streams,
        });
        all.insert(p.name.clone(), row);
    }
    // What the driver's processor had to do: the frames it got and gave back.
    let cpu = dev.vports.get(&MANAGER).map(|v| {
        let count = |c: Count| json!({ "packets": c.packets, "bytes": c.bytes });
        json!({ "received": count(v.rx.total()), "sent": count(v.tx.total()) })
    });
    json!({ "ports": all, "cpu": cpu })
}

fn completion(c: &Received) -> Value {
    json!({
        "receive_queue": c.rqn,
        "bytes": c.bytes,
        "flow_tag": c.flow_tag,
        "metadata": c.metadata,
        "hash": c.hash,
        "l3_ok": c.l3_ok,
        "l4_ok": c.l4_ok,
        "vlan": c.vlan,
    })
}

fn flows(dev: &Device) -> Value {
    let mut tables = Vec::new();
    for (id, t) in dev.flow.tables.iter() {
        let mut entries = Vec::new();
        for (index, e) in &t.entries {
            let dests: Vec<String> = e
                .dests
                .iter()
                .map(|d| match d {
                    Dest::Vport(v) => format!("vport {v}"),
                    Dest::Uplink => "uplink".into(),
                    Dest::Table(t) => format!("table {t:#x}"),
                    Dest::Tir(t) => format!("tir {t:#x}"),
                })
                .collect();
            let counters: Vec<Value> = e
                .counters
                .iter()
                .filter_map(|c| {
                    dev.flow
                        .counters
                        .get(*c)
                        .map(|v| json!({ "id": c, "packets": v.packets, "bytes": v.bytes }))
                })
                .collect();
            let program = e.modify.and_then(|m| dev.flow.modifies.get(m));
            let rewrites: Vec<String> = program
                .into_iter()
                .flat_map(|p| p.steps.iter().map(ToString::to_string))
                .collect();
            // Words of struct fte_match_param: at which byte, value and mask.
            let mask = t.groups.values().find(|g| g.id == e.group).map(|g| &g.mask);
            let matches: Vec<String> = mask
                .into_iter()
                .flat_map(|mask| mask.iter().zip(&e.value).enumerate())
                .filter(|(_, (mask, _))| **mask != 0)
                .map(|(n, (mask, value))| format!("{:#05x}: {value:08x}/{mask:08x}", 4 * n))
                .collect();
            entries.push(json!({
                "index": index,
                "group": e.group,
                "match": matches,
                "flow_source": e.flow_source,
                "action": format!("{:#x}", e.action),
                "flow_tag": e.flow_tag,
                "destinations": dests,
                "counters": counters,
                "modify_header": e.modify,
                "rewrites": rewrites,
                "packet_reformat": e.reformat,
            }));
        }
        let miss = match t.miss {
            Miss::Table(t) => format!("table {t:#x}"),
            _ => "default".into(),
        };
        tables.push(json!({
            "id": format!("{id:#x}"),
            "type": format!("{:?}", t.domain),
            "vport": t.vport,
            "level": t.level,
            "termination": t.termination,
            "root": dev.flow.roots.values().any(|r| *r == id),
            "groups": t.groups.len(),
            "miss": miss,
            "entries": entries,
        }));
    }
    json!({ "tables": tables })
}

fn generate(dev: &mut Device, r: &Value) -> Result<Value, String> {
    let p = port(dev, r)?;
    let size = int(r, "size", 60)?;
    if !(60..=9000).contains(&size) {
        return Err("size: 60 to 9000 bytes, without the check sequence".into());
    }
    let frame = UdpFrame {
        dst: mac(r, "dst", [2, 0, 0, 0, 0, 2])?,
        src: mac(r, "src", [2, 0, 0, 0, 0, 1])?,
        vlan: r
            .get("vlan")
            .map(|_| int(r, "vlan", 0))
            .transpose()?
            .map(|v| v as u16),
        src_ip: ip(r, "src_ip", [10, 0, 0, 1])?,
        dst_ip: ip(r, "dst_ip", [10, 0, 0, 2])?,
        sport: int(r, "sport", 1000)? as u16,
        dport: int(r, "dport", 2000)? as u16,
        size: size as usize,
    };
    let id = int(r, "stream", 1)? as u16;
    let (rate, count, flows) = (int(r, "rate", 0)?, int(r, "count", 1)?, int(r, "flows", 1)?);
    dev.streams.retain(|s| s.id != id);
    for p in &mut dev.ports {
        p.sink.streams.remove(&id);
    }
    dev.streams.push(Stream::new(
        id,
        p,
        frame,
        rate,
        count,
        flows.min(60_000) as u16,
        log::now_ns(),
    ));
    Ok(json!({ "stream": id }))
}
