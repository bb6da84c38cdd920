//! Adapters, and which of them computes: the one that was measured to be fastest; before any
//! measurement a graphics card, never a software adapter.

use super::device::Gpu;
use crate::error::{Error, Result};

/// Which adapter to run on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AdapterChoice {
    /// The fastest of the devices that were measured. Before any measurement, the best graphics
    /// card (discrete, integrated, virtual), or the processor where there is none.
    #[default]
    Auto,
    /// The best graphics adapter, a software one where there is no other; the processor where no
    /// adapter gives a device.
    Gpu,
    /// The adapter of this name, else the first whose name contains this, in any case.
    Named(String),
    /// The first adapter with this [`AdapterInfo::key`]: equal cards are equally fast.
    Known(String),
    /// The network on the processor.
    Cpu,
}

impl std::str::FromStr for AdapterChoice {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text.to_ascii_lowercase().as_str() {
            "auto" | "" => AdapterChoice::Auto,
            "gpu" => AdapterChoice::Gpu,
            "cpu" => AdapterChoice::Cpu,
            _ => AdapterChoice::Named(text.to_owned()),
        })
    }
}

/// Why this device computes.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Reason {
    /// The caller asked for it.
    Asked,
    /// It is the best graphics card.
    Card,
    /// No adapter could be used: the processor.
    NoAdapter,
    /// The only adapters are programs on the processor, and nobody has measured them with this
    /// model yet: the processor.
    NotMeasured {
        /// The first of them.
        adapter: String,
    },
    /// It was measured to be the fastest.
    Measured {
        /// The device that it was compared with.
        other: String,
        /// How many times as fast as that one it is, 1 or more.
        times: f64,
    },
}

/// An opened device, or the processor, and why.
pub(crate) struct Picked {
    /// `None`: the processor.
    pub(crate) gpu: Option<Gpu>,
    pub(crate) reason: Reason,
}

/// What is known about the adapter in use.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct AdapterInfo {
    /// The driver's name for it, or `cpu`.
    pub name: String,
    /// `vulkan`, `metal`, `dx12`, `webgpu` or `none`.
    pub backend: String,
    /// `discrete`, `integrated`, `virtual`, `software`, `other` or `cpu`.
    pub kind: String,
    /// Driver name and version, as far as known.
    pub driver: String,
}

impl AdapterInfo {
    /// The entry for the network on the processor.
    pub fn cpu() -> Self {
        AdapterInfo {
            name: "cpu".into(),
            backend: "none".into(),
            kind: "cpu".into(),
            driver: String::new(),
        }
    }

    /// The key under which facts about this adapter are remembered: another driver may mean another
    /// machine.
    pub fn key(&self) -> String {
        format!("{} · {} · {}", self.backend, self.name, self.driver)
    }

    /// Whether the adapter is a program on the processor.
    pub fn is_software(&self) -> bool {
        self.kind == "software"
    }

    /// The better kind first.
    fn rank(&self) -> usize {
        let kinds = ["discrete", "integrated", "virtual", "other"];
        kinds.iter().position(|kind| *kind == self.kind).unwrap_or(kinds.len())
    }

    pub(super) fn of(info: &wgpu::AdapterInfo) -> Self {
        let kind = match info.device_type {
            wgpu::DeviceType::DiscreteGpu => "discrete",
            wgpu::DeviceType::IntegratedGpu => "integrated",
            wgpu::DeviceType::VirtualGpu => "virtual",
            wgpu::DeviceType::Cpu => "software",
            wgpu::DeviceType::Other => "other",
        };
        let name = if info.name.is_empty() {
            format!("{} adapter", info.backend)
        } else {
            info.name.clone()
        };
        AdapterInfo {
            name,
            backend: match info.backend {
                wgpu::Backend::BrowserWebGpu => "webgpu".into(),
                other => other.to_string(),
            },
            kind: kind.into(),
            driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
        }
    }
}

impl Gpu {
    /// Opens the chosen adapter with WebGPU's default limits and no optional feature.
    ///
    /// Returns `Ok(None)` if the network on the processor should be used: [`AdapterChoice::Cpu`],
    /// no usable adapter, or `Auto` without a graphics card, since nothing is known here about
    /// software adapters.
    ///
    /// # Errors
    /// [`Error::AdapterNotFound`] if a name matches nothing; [`Error::DeviceRefused`] if a *named*
    /// adapter gives no device.
    pub async fn open(choice: &AdapterChoice) -> Result<Option<Gpu>> {
        Gpu::pick(choice, |_| None).await.map(|picked| picked.gpu)
    }

    /// The same, and why. `measured` says how many times as fast as the processor an adapter is;
    /// `None` where that was not measured.
    ///
    /// # Errors
    /// As [`Gpu::open`].
    pub(crate) async fn pick(
        choice: &AdapterChoice,
        measured: impl Fn(&AdapterInfo) -> Option<f64>,
    ) -> Result<Picked> {
        if *choice == AdapterChoice::Cpu {
            return Ok(Picked { gpu: None, reason: Reason::Asked });
        }
        let adapters = Adapters::find().await;
        match choice {
            AdapterChoice::Auto => Ok(adapters.pick(measured).await),
            AdapterChoice::Named(text) | AdapterChoice::Known(text) => {
                let is_key = matches!(choice, AdapterChoice::Known(_));
                let adapter = adapters.asked_for(text, is_key)?;
                let gpu = Gpu::from_adapter(adapter, adapters.packed_dot).await?;
                Ok(Picked { gpu: Some(gpu), reason: Reason::Asked })
            }
            _ => {
                for adapter in &adapters.all {
                    if let Ok(gpu) = Gpu::from_adapter(adapter, adapters.packed_dot).await {
                        return Ok(Picked { gpu: Some(gpu), reason: Reason::Asked });
                    }
                }
                Ok(Picked { gpu: None, reason: Reason::NoAdapter })
            }
        }
    }
}

/// Every adapter of this machine, best first; in the browser the one that it offers. The processor
/// is not among them.
pub async fn adapters() -> Vec<AdapterInfo> {
    Adapters::find().await.infos().collect()
}

/// The adapters of this machine.
struct Adapters {
    /// Best kind first; the order within a kind is the driver's.
    all: Vec<wgpu::Adapter>,
    /// Whether WGSL has products of packed bytes.
    packed_dot: bool,
}

impl Adapters {
    async fn find() -> Adapters {
        let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
        descriptor.backends = wgpu::Backends::PRIMARY;
        // The tests set WGPU_STRICT_WEBGPU_COMPLIANCE on one driver: nothing beyond WebGPU's
        // defaults.
        descriptor.flags = descriptor.flags.with_env();
        let instance = wgpu::Instance::new(descriptor);
        #[cfg(not(target_arch = "wasm32"))]
        let mut all = instance.enumerate_adapters(wgpu::Backends::PRIMARY).await;
        #[cfg(target_arch = "wasm32")]
        let mut all: Vec<wgpu::Adapter> = instance
            .request_adapter(&wgpu::RequestAdapterOptions {
                power_preference: wgpu::PowerPreference::HighPerformance,
                ..Default::default()
            })
            .await
            .into_iter()
            .collect();
        all.sort_by_key(|adapter| AdapterInfo::of(&adapter.get_info()).rank());
        let packed = wgpu::WgslLanguageFeatures::Packed4x8IntegerDotProduct;
        Adapters { all, packed_dot: instance.wgsl_language_features().contains(packed) }
    }

    fn infos(&self) -> impl Iterator<Item = AdapterInfo> {
        self.all.iter().map(|adapter| AdapterInfo::of(&adapter.get_info()))
    }

    /// The first one with this key, or else of this name, or whose name contains it.
    fn asked_for(&self, wanted: &str, is_key: bool) -> Result<&wgpu::Adapter> {
        let lower = wanted.to_lowercase();
        let at = if is_key {
            self.infos().position(|info| info.key() == wanted)
        } else {
            let within = || self.infos().position(|i| i.name.to_lowercase().contains(&lower));
            self.infos().position(|info| info.name.to_lowercase() == lower).or_else(within)
        };
        at.and_then(|at| self.all.get(at)).ok_or_else(|| {
            let names = self.infos().chain([AdapterInfo::cpu()]).map(|info| info.name);
            let available = names.collect::<Vec<_>>().join(", ");
            Error::AdapterNotFound { wanted: wanted.to_owned(), available }
        })
    }

    /// The first of the worthwhile adapters that gives a device; the processor where none does.
    async fn pick(&self, measured: impl Fn(&AdapterInfo) -> Option<f64>) -> Picked {
        let times = |info: &AdapterInfo| measured(info).filter(|t| t.is_finite() && *t > 0.0);
        let all: Vec<(AdapterInfo, Option<f64>)> =
            self.infos().map(|info| (info.clone(), times(&info))).collect();
        for at in worthwhile(&all) {
            let (info, times) = &all[at];
            if let Ok(gpu) = Gpu::from_adapter(&self.all[at], self.packed_dot).await {
                let reason = match times {
                    Some(times) if info.is_software() => {
                        Reason::Measured { other: AdapterInfo::cpu().name, times: *times }
                    }
                    _ => Reason::Card,
                };
                return Picked { gpu: Some(gpu), reason };
            }
        }
        let known = all.iter().filter_map(|(info, times)| Some((info, (*times)?)));
        let reason = if let Some((info, times)) = known.max_by(|a, b| a.1.total_cmp(&b.1)) {
            Reason::Measured { other: info.name.clone(), times: (1.0 / times).max(1.0) }
        } else if let Some((info, _)) = all.iter().find(|(info, _)| info.is_software()) {
            Reason::NotMeasured { adapter: info.name.clone() }
        } else {
            Reason::NoAdapter
        };
        Picked { gpu: None, reason }
    }
}

/// Which adapters are worth trying, in this order: cards of a better kind than any that was
/// measured to be faster than the processor; what was measured to be faster, the fastest first; the
/// other cards that nobody has measured. `all` has the better kind first, with how many times as
/// fast as the processor each is.
fn worthwhile(all: &[(AdapterInfo, Option<f64>)]) -> Vec<usize> {
    let places = 0..all.len();
    let faster = |at: &usize| all[*at].1.is_some_and(|times| times > 1.0);
    let is_new = |at: &usize| all[*at].1.is_none() && !all[*at].0.is_software();
    let mut fast: Vec<usize> = places.clone().filter(faster).collect();
    fast.sort_by(|a, b| all[*b].1.unwrap_or(0.0).total_cmp(&all[*a].1.unwrap_or(0.0)));
    let cards = fast.iter().filter(|at| !all[**at].0.is_software());
    let best = cards.map(|at| all[*at].0.rank()).min().unwrap_or(usize::MAX);
    let (better, other): (Vec<usize>, Vec<usize>) =
        places.filter(is_new).partition(|at| all[*at].0.rank() < best);
    [better, fast, other].concat()
}

#[cfg(all(test, feature = "native"))]
mod tests {
    use super::*;
    use pollster::block_on;

    /// What `Auto` leads to if software adapters are so many times as fast as the processor; `None`
    /// where this machine has a graphics card, or no adapter at all.
    fn picked(times: Option<f64>) -> Option<(bool, Reason)> {
        if !block_on(adapters()).first()?.is_software() {
            return None;
        }
        let picked =
            block_on(Gpu::pick(&AdapterChoice::Auto, |_| times)).expect("`Auto` never fails");
        Some((picked.gpu.is_some(), picked.reason))
    }

    #[test]
    fn a_software_adapter_computes_only_where_it_was_measured_to_be_faster() {
        let Some((on_gpu, reason)) = picked(None) else { return };
        assert!(!on_gpu && matches!(reason, Reason::NotMeasured { .. }), "{reason:?}");
        let (on_gpu, reason) = picked(Some(0.25)).unwrap();
        let Reason::Measured { other, times } = &reason else { panic!("{reason:?}") };
        assert!(!on_gpu && other != "cpu" && *times == 4.0, "{reason:?}");
        let reason = Reason::Measured { other: "cpu".into(), times: 2.0 };
        assert_eq!(picked(Some(2.0)).unwrap(), (true, reason));
        for nonsense in [f64::NAN, f64::INFINITY, 0.0, -1.0] {
            assert!(!picked(Some(nonsense)).unwrap().0, "{nonsense}");
        }
    }

    #[test]
    fn a_card_that_nobody_measured_is_tried_before_a_fast_one_only_if_its_kind_is_better() {
        let order = |devices: &[(&str, Option<f64>)]| {
            let info = |kind: &str| AdapterInfo { kind: kind.into(), ..AdapterInfo::cpu() };
            let all: Vec<_> = devices.iter().map(|(kind, times)| (info(kind), *times)).collect();
            worthwhile(&all)
        };
        // Nobody has measured anything: the best kind first, no software.
        let new = [("discrete", None), ("integrated", None), ("software", None)];
        assert_eq!(order(&new), [0, 1]);
        // The second of two cards was measured: it is not given up for the first.
        assert_eq!(order(&[("discrete", None), ("discrete", Some(9.0))]), [1, 0]);
        assert_eq!(order(&[("discrete", Some(3.0)), ("integrated", None)]), [0, 1]);
        assert_eq!(order(&[("discrete", None), ("integrated", Some(3.0))]), [0, 1]);
        // The faster of two that were measured, whatever its kind.
        assert_eq!(order(&[("discrete", Some(2.0)), ("integrated", Some(3.0))]), [1, 0]);
        // Slower than the processor: another card may be faster.
        assert_eq!(order(&[("discrete", Some(0.5)), ("discrete", None)]), [1]);
        assert_eq!(order(&[("discrete", Some(0.5)), ("software", Some(1.5))]), [1]);
    }

    #[test]
    fn a_key_names_one_adapter_and_a_part_of_its_name_does_not() {
        let Some(info) = block_on(adapters()).into_iter().next() else { return };
        let open = |choice| block_on(Gpu::open(&choice));
        let gpu = open(AdapterChoice::Known(info.key())).unwrap().unwrap();
        assert_eq!(*gpu.info(), info);
        assert!(open(AdapterChoice::Known(info.name.clone())).is_err());
        assert!(open(AdapterChoice::Named(info.name.clone())).unwrap().is_some());
    }

    #[test]
    fn words_of_the_flag() {
        let read = |text: &str| text.parse::<AdapterChoice>().unwrap();
        assert_eq!([read(""), read("Auto")], [AdapterChoice::Auto, AdapterChoice::Auto]);
        assert_eq!([read("CPU"), read("gpu")], [AdapterChoice::Cpu, AdapterChoice::Gpu]);
        assert_eq!(read("Radeon"), AdapterChoice::Named("Radeon".into()));
    }
}
