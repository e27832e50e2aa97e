// SPDX-License-Identifier: GPL-2.0

//! The device: one thread owns all of its state, and works off events from
//! the registers, the ports and the control socket in order.

use crate::cmd;
use crate::complete;
use crate::fault::{Fault, Kind};
use crate::front::Regs;
use crate::ifc::*;
use crate::packet::Packet;
use crate::port::{Count, Port, Traffic};
use crate::queue::State;
use crate::resources::Resources;
use crate::rx::Received;
use crate::steer::{exec, Domain, Flow, Target};
use crate::stream::Stream;
use crate::transport::Host;
use crate::{decode, log, rx, tx};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::os::unix::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::Arc;
use std::time::Duration;

/// The vport of the wire.
pub const UPLINK: u16 = 0xffff;
/// The vport of the function that the driver runs on.
pub const MANAGER: u16 = 0;
/// This function's own id.
const OWN_VHCA: u16 = 1;
const FIRST_VF_VHCA: u16 = 0x100;
const GUID: u64 = 0x0200_6d6c_7835_0000;

/// Work for the device's thread.
pub enum Event {
    /// Command slots to run.
    Command(u32),
    Doorbell {
        page: u32,
        at: u32,
        data: u64,
        wide: bool,
    },
    Reset,
    Frame {
        port: usize,
        data: Vec<u8>,
        from: Option<SocketAddr>,
    },
    Control {
        request: Value,
        reply: Sender<Value>,
    },
}

/// What the device offers.
#[derive(Debug, Clone)]
pub struct Config {
    /// Functions whose ports the device delegates: representors.
    pub vfs: usize,
    /// Metadata registers, access lists, chains.
    pub metadata: bool,
    pub termination: bool,
    pub vxlan: bool,
}

/// A virtual port of the embedded switch.
#[derive(Debug)]
pub struct Vport {
    pub number: u16,
    pub vhca: u16,
    pub mac: [u8; 6],
    pub mtu: u16,
    pub promisc: u8,
    /// Unicast, multicast and VLAN lists, as the driver wrote them.
    pub lists: [Vec<u8>; 3],
    pub up: bool,
    /// Follows the physical port.
    pub auto: bool,
    pub ingress: bool,
    pub egress: bool,
    pub fdb_to_vport_reg_c: bool,
    /// Registers that stay with a packet on its way to this vport.
    pub reg_c_mask: u8,
    pub rx: Traffic,
    pub tx: Traffic,
}

impl Vport {
    pub fn new(number: u16, vhca: u16) -> Self {
        let [high, low] = number.to_be_bytes();
        Self {
            number,
            vhca,
            mac: [0x02, 0x6d, 0x6c, 0x35, high, low],
            mtu: 1500,
            promisc: 0,
            lists: Default::default(),
            up: number == MANAGER || number == UPLINK,
            auto: number == MANAGER || number == UPLINK,
            ingress: number == MANAGER || number == UPLINK,
            egress: number == MANAGER || number == UPLINK,
            fdb_to_vport_reg_c: false,
            reg_c_mask: 0,
            rx: Traffic::default(),
            tx: Traffic::default(),
        }
    }
}

#[derive(Debug, Clone, Default)]
pub struct Stats {
    pub commands: BTreeMap<u64, u64>,
    pub refused: u64,
    pub queue_errors: u64,
    pub rx_dropped: u64,
    pub fdb_dropped: u64,
    pub resets: u64,
    /// Objects that the driver had not destroyed at teardown.
    pub leftovers: u64,
}

pub struct Device {
    pub cfg: Config,
    pub host: Arc<dyn Host>,
    pub regs: Arc<Regs>,
    pub res: Resources,
    pub flow: Flow,
    /// Allocations of flow counters: first, number.
    pub bulks: BTreeMap<u32, u32>,
    pub vports: BTreeMap<u16, Vport>,
    pub vxlan_ports: BTreeSet<u16>,
    pub l2: BTreeSet<u32>,
    /// What SET_HCA_CAP left in force.
    pub general: Option<Vec<u8>>,
    pub initialized: bool,
    pub admin_up: bool,
    /// A cable is plugged in; false is a fault on request.
    pub carrier: bool,
    pub port_mtu: u16,
    pub ports: Vec<Port>,
    pub streams: Vec<Stream>,
    pub faults: Vec<Fault>,
    /// Address and number of command slots that a fault has left unanswered.
    pub unanswered: Vec<(u64, u32)>,
    /// The last frames that the driver received.
    pub received: VecDeque<Received>,
    pub stats: Stats,
}

impl Device {
    pub fn new(cfg: Config, host: Arc<dyn Host>, regs: Arc<Regs>, ports: Vec<Port>) -> Self {
        let mut d = Self {
            cfg,
            host,
            regs,
            res: Resources::default(),
            flow: Flow::default(),
            bulks: BTreeMap::new(),
            vports: BTreeMap::new(),
            vxlan_ports: BTreeSet::new(),
            l2: BTreeSet::new(),
            general: None,
            initialized: false,
            admin_up: true,
            carrier: true,
            port_mtu: 1500,
            ports,
            streams: Vec::new(),
            faults: Vec::new(),
            unanswered: Vec::new(),
            received: VecDeque::new(),
            stats: Stats::default(),
        };
        d.reset();
        d
    }

    /// Everything that the driver made is gone; the ports and their counters
    /// are not the driver's, and stay.
    pub fn reset(&mut self) {
        self.res = Resources::default();
        self.flow = Flow::default();
        self.bulks.clear();
        self.vports.clear();
        for n in [MANAGER, UPLINK] {
            self.vports.insert(n, Vport::new(n, OWN_VHCA));
        }
        self.vxlan_ports.clear();
        self.l2.clear();
        self.general = None;
        self.initialized = false;
        self.admin_up = true;
        self.unanswered.clear();
    }

    /// The device's thread.
    pub fn run(&mut self, events: &Receiver<Event>) {
        loop {
            let wait = self.next_frame_in();
            match events.recv_timeout(wait) {
                Ok(e) => {
                    self.handle(e);
                    // A burst of doorbells goes before the next frames.
                    for _ in 0..64 {
                        match events.try_recv() {
                            Ok(e) => self.handle(e),
                            Err(_) => break,
                        }
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.generate();
        }
    }

    pub fn handle(&mut self, e: Event) {
        match e {
            Event::Command(bits) => cmd::doorbell(self, bits),
            Event::Doorbell {
                page,
                at,
                data,
                wide,
            } => self.doorbell(page, at, data, wide),
            Event::Reset => {
                self.stats.resets += 1;
                self.reset();
            }
            Event::Frame { port, data, from } => {
                if let Some(p) = self.ports.get_mut(port) {
                    if from.is_some() {
                        p.peer = from;
                    }
                }
                // An empty datagram only says where answers go.
                if !data.is_empty() {
                    self.from_port(port, data);
                }
            }
            Event::Control { request, reply } => {
                let answer = crate::control::run(self, &request);
                // The asker may have gone away.
                drop(reply.send(answer));
            }
        }
    }

    fn doorbell(&mut self, page: u32, at: u32, data: u64, wide: bool) {
        if !self.res.uars.contains(page) {
            log::warn(format_args!(
                "doorbell at {at:#x} of page {page:#x}, which is not allocated"
            ));
            return;
        }
        let (high, low) = ((data >> 32) as u32, data as u32);
        match (at, wide) {
            (0x20, true) => complete::arm(self, low, high & complete::INDEX),
            (0x40, false) => complete::event_doorbell(self, low >> 24, low, true),
            (0x48, false) => complete::event_doorbell(self, low >> 24, low, false),
            (0x800.., true) => tx::run(self, low >> 8),
            _ => log::warn(format_args!(
                "write of {data:#x} at {at:#x} of doorbell page {page:#x}"
            )),
        }
    }

    /// How long until a stream wants to send.
    fn next_frame_in(&self) -> Duration {
        let now = log::now_ns();
        let due = self
            .streams
            .iter()
            .filter(|s| !s.done())
            .map(Stream::due)
            .min();
        due.map_or(Duration::from_millis(500), |d| {
            Duration::from_nanos(d.saturating_sub(now))
        })
    }

    /// Sends what is due of every stream, a burst at a time.
    fn generate(&mut self) {
        for i in 0..self.streams.len() {
            for _ in 0..64 {
                let now = log::now_ns();
                let Some(s) = self
                    .streams
                    .get_mut(i)
                    .filter(|s| !s.done() && s.due() <= now)
                else {
                    break;
                };
                let (port, frame) = (s.port, s.make(now));
                self.from_port(port, frame);
            }
        }
    }

    fn with_flow<R>(&mut self, f: impl FnOnce(&mut Flow, &exec::Context<'_>) -> R) -> R {
        let cx = exec::Context {
            vxlan_ports: &self.vxlan_ports,
            vhca: OWN_VHCA,
            uplink: UPLINK,
        };
        f(&mut self.flow, &cx)
    }

    /// A frame that the far side of a port sends.
    pub fn from_port(&mut self, port: usize, data: Vec<u8>) {
        let link = self.link_up();
        let Some(p) = self.ports.get_mut(port) else {
            return;
        };
        p.sent.add(data.len());
        let number = p.vport;
        let connected = match self.vports.get_mut(&number) {
            Some(v) if number == UPLINK => {
                v.rx.add(&data);
                link
            }
            Some(v) => {
                v.tx.add(&data);
                v.ingress && v.up
            }
            None => false,
        };
        if !connected || data.len() < 14 {
            p.dropped += 1;
            return;
        }
        self.switch_packet(Packet {
            data,
            source_port: number,
            ..Packet::default()
        });
    }

    /// A frame that the driver sends.
    pub fn from_send_queue(&mut self, sqn: u32, data: Vec<u8>, metadata: u32) {
        if let Some(v) = self.vports.get_mut(&MANAGER) {
            v.tx.add(&data);
        }
        self.switch_packet(Packet {
            data,
            source_port: MANAGER,
            source_sqn: sqn,
            reg_a: metadata,
            ..Packet::default()
        });
    }

    /// The access list of the source, then the switch.
    fn switch_packet(&mut self, p: Packet) {
        let source = p.source_port;
        let mut admitted = Vec::new();
        for (t, p) in self.with_flow(|f, cx| exec::run(f, cx, Domain::IngressAcl, source, p)) {
            if t == Target::Default {
                admitted.push(p);
            }
        }
        for p in admitted {
            if !self.flow.roots.contains_key(&(Domain::Fdb, 0)) {
                // Without a forwarding database the function has the wire.
                let to = if source == UPLINK { MANAGER } else { UPLINK };
                self.deliver_vport(to, p);
                continue;
            }
            for (t, p) in self.with_flow(|f, cx| exec::run(f, cx, Domain::Fdb, 0, p)) {
                match t {
                    Target::Vport(v) => self.deliver_vport(v, p),
                    Target::Uplink => self.deliver_vport(UPLINK, p),
                    Target::Default | Target::Tir(_) => self.stats.fdb_dropped += 1,
                }
            }
        }
    }

    /// The access list of the destination, then the port or the driver.
    fn deliver_vport(&mut self, number: u16, mut p: Packet) {
        let link = self.link_up();
        let Some(v) = self.vports.get_mut(&number) else {
            self.stats.fdb_dropped += 1;
            return;
        };
        if !v.egress || !v.up || (number == UPLINK && !link) {
            self.stats.fdb_dropped += 1;
            return;
        }
        let keep = v.reg_c_mask;
        for (n, r) in p.reg_c.iter_mut().enumerate() {
            if (keep >> n) & 1 == 0 {
                *r = 0;
            }
        }
        for (t, p) in self.with_flow(|f, cx| exec::run(f, cx, Domain::EgressAcl, number, p)) {
            if t != Target::Default {
                continue;
            }
            if let Some(v) = self.vports.get_mut(&number) {
                if number == UPLINK {
                    v.tx.add(&p.data)
                } else {
                    v.rx.add(&p.data)
                }
            }
            if number == MANAGER {
                self.deliver_driver(p);
            } else {
                self.deliver_port(number, p);
            }
        }
    }

    fn deliver_driver(&mut self, mut p: Packet) {
        p.source_sqn = 0;
        for (t, p) in self.with_flow(|f, cx| exec::run(f, cx, Domain::NicRx, 0, p)) {
            match t {
                Target::Tir(tirn) => rx::deliver(self, tirn, p),
                _ => self.stats.rx_dropped += 1,
            }
        }
    }

    fn deliver_port(&mut self, number: u16, p: Packet) {
        let now = log::now_ns();
        let Some(i) = self.ports.iter().position(|x| x.vport == number) else {
            return;
        };
        let answer = self
            .ports
            .get_mut(i)
            .and_then(|port| port.take(&p.data, now));
        if let Some(data) = answer {
            self.from_port(i, data);
        }
    }

    /// The address that a memory key and an address in it stand for.
    pub fn translate(&self, key: u32, addr: u64, len: u64) -> Result<u64, String> {
        let Some(k) = self.res.mkeys.get(key >> 8) else {
            return Err(format!("memory key {key:#x} does not exist"));
        };
        let end = addr.checked_add(len).ok_or("an address range that wraps")?;
        match k.len {
            Some(n) if addr < k.start || end > k.start.saturating_add(n) => Err(format!(
                "{addr:#x}, {len} bytes, is outside memory key {key:#x}"
            )),
            _ => Ok(addr),
        }
    }

    pub fn link_up(&self) -> bool {
        self.admin_up && self.carrier
    }

    pub fn set_admin(&mut self, up: bool) {
        let before = self.link_up();
        self.admin_up = up;
        self.link_changed(before);
    }

    pub fn set_carrier(&mut self, up: bool) {
        let before = self.link_up();
        self.carrier = up;
        self.link_changed(before);
    }

    fn link_changed(&mut self, before: bool) {
        let now = self.link_up();
        if before == now {
            return;
        }
        log::info(format_args!("link {}", if now { "up" } else { "down" }));
        let sub = if now {
            MLX5_PORT_CHANGE_SUBTYPE_ACTIVE
        } else {
            MLX5_PORT_CHANGE_SUBTYPE_DOWN
        };
        let mut data = [0u8; 28];
        if let Some(b) = data.get_mut(8) {
            *b = 1 << 4;
        }
        complete::event(self, MLX5_EVENT_TYPE_PORT_CHANGE, sub as u8, data);
    }

    /// The event queue that takes command completions, if there is one yet.
    pub fn command_eq(&self) -> Option<u32> {
        let bit = 1u64 << MLX5_EVENT_TYPE_CMD;
        self.res
            .eqs
            .iter()
            .find(|(_, e)| e.mask.first().is_some_and(|m| m & bit != 0))
            .map(|(n, _)| n)
    }

    pub fn post_command_event(&mut self, eq: Option<u32>, slot: u32) {
        let Some(eqn) = eq.filter(|e| self.res.eqs.contains(*e)) else {
            return;
        };
        let mut data = [0u8; 28];
        for (d, s) in data.iter_mut().zip((1u32 << slot).to_be_bytes()) {
            *d = s;
        }
        complete::post_event(self, eqn, MLX5_EVENT_TYPE_CMD, 0, data);
    }

    pub fn count_command(&mut self, opcode: u64) {
        *self.stats.commands.entry(opcode).or_insert(0) += 1;
    }

    /// The fault that was asked for this command, if any.
    pub fn fault_for(&mut self, name: &str) -> Option<Fault> {
        let i = self.faults.iter().position(|f| f.command == name)?;
        let f = self.faults.get_mut(i)?;
        if f.skip > 0 {
            f.skip -= 1;
            return None;
        }
        f.times = f.times.saturating_sub(1);
        let hit = f.clone();
        if f.times == 0 {
            self.faults.remove(i);
        }
        if let Kind::Late(ms) = hit.kind {
            // The whole device is late, as a busy one is.
            std::thread::sleep(Duration::from_millis(ms.min(120_000)));
            return None;
        }
        Some(hit)
    }

    /// At teardown everything must have been destroyed.
    pub fn report_leftovers(&mut self) {
        let mut left: Vec<String> = self
            .res
            .counts()
            .iter()
            .filter(|(_, n)| *n != 0)
            .map(|(name, n)| format!("{n} x {name}"))
            .collect();
        let flow = [
            ("flow table", self.flow.tables.len()),
            ("flow entry", self.flow.entry_count()),
            ("flow counter", self.flow.counters.len()),
            ("modify header", self.flow.modifies.len()),
            ("packet reformat", self.flow.reformats.len()),
            ("vport", self.vports.len().saturating_sub(2)),
        ];
        left.extend(
            flow.iter()
                .filter(|(_, n)| *n != 0)
                .map(|(name, n)| format!("{n} x {name}")),
        );
        if !left.is_empty() {
            self.stats.leftovers += left.len() as u64;
            log::warn(format_args!("left at teardown: {}", left.join(", ")));
        }
    }

    pub fn vhca_id(&self) -> u16 {
        OWN_VHCA
    }

    pub fn vf_vhca(&self, n: usize) -> u16 {
        FIRST_VF_VHCA + n as u16
    }

    pub fn vhca_of(&self, vport: u16) -> u16 {
        self.vports.get(&vport).map_or(OWN_VHCA, |v| v.vhca)
    }

    /// The vport of a function, by its own number or its vhca id.
    pub fn vport_of_function(&self, id: u64, by_vhca: bool) -> Option<u16> {
        let v = self.vports.values().find(|v| {
            if by_vhca {
                u64::from(v.vhca) == id
            } else {
                u64::from(v.number) == id
            }
        });
        v.map(|v| v.number)
    }

    pub fn guid(&self) -> u64 {
        GUID
    }

    /// Registers that can stay with a packet from the switch to a vport.
    pub fn reg_c_to_vport(&self) -> u8 {
        3
    }

    pub fn wire_counters(&self) -> WireCounters {
        let (rx, tx) = self
            .vports
            .get(&UPLINK)
            .map_or((Count::default(), Count::default()), |v| {
                (v.rx.total(), v.tx.total())
            });
        WireCounters {
            rx_packets: rx.packets,
            rx_bytes: rx.bytes,
            tx_packets: tx.packets,
            tx_bytes: tx.bytes,
        }
    }

    /// Commands by name.
    pub fn commands(&self) -> BTreeMap<String, u64> {
        let name = |op: &u64| decode::opcode_name(*op).unwrap_or_else(|| format!("{op:#x}"));
        self.stats
            .commands
            .iter()
            .map(|(op, n)| (name(op), *n))
            .collect()
    }

    pub fn set_health(&mut self, syndrome: u32, stopped: bool) {
        self.regs.health_syndrome.store(syndrome, Relaxed);
        self.regs.health_stopped.store(stopped, Relaxed);
    }

    /// Queues that the driver can use.
    pub fn ready_queues(&self) -> (usize, usize) {
        let s = self
            .res
            .sqs
            .iter()
            .filter(|(_, q)| q.state == State::Ready)
            .count();
        let r = self
            .res
            .rqs
            .iter()
            .filter(|(_, q)| q.state == State::Ready)
            .count();
        (s, r)
    }
}

/// Totals of the wire.
pub struct WireCounters {
    pub rx_packets: u64,
    pub rx_bytes: u64,
    pub tx_packets: u64,
    pub tx_bytes: u64,
}
