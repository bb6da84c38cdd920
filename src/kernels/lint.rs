//! Shaders pair up with Rust, parse, validate, translate to every backend and obey the rules. Needs
//! no GPU.

use super::state::{FIELDS, State};
use super::{LANES, Variant};
use crate::gpu::{Access, assemble};
use std::collections::BTreeSet;

/// The network's kernels and the benchmark's.
fn variants() -> Vec<Variant> {
    super::variants().into_iter().chain(crate::bench::variants()).collect()
}

/// Files of a folder and of its own folders, as `family/name`; `other` names folders to leave out.
fn stems(folder: &str, extension: &str, other: &[&str]) -> BTreeSet<String> {
    let root = format!("{}/{folder}", env!("CARGO_MANIFEST_DIR"));
    let mut found = BTreeSet::new();
    let mut folders = vec![String::new()];
    while let Some(at) = folders.pop() {
        for entry in std::fs::read_dir(format!("{root}/{at}")).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{at}{}", entry.file_name().into_string().unwrap());
            if entry.file_type().unwrap().is_dir() {
                if !other.contains(&name.as_str()) {
                    folders.push(format!("{name}/"));
                }
            } else if let Some(stem) = name.strip_suffix(extension) {
                found.insert(stem.to_owned());
            }
        }
    }
    found
}

#[test]
fn every_shader_has_a_module_a_variant_and_a_case() {
    let shaders = stems("shaders", ".wgsl", &["common", "bench"]);
    let modules = stems("src/kernels", ".rs", &[]);
    assert!(shaders.is_subset(&modules), "{:?}", shaders.difference(&modules));
    let table: BTreeSet<String> = super::KERNELS.iter().map(|row| row.name().to_owned()).collect();
    assert_eq!(shaders, table);
    for row in super::KERNELS {
        let variants = (row.variants)();
        assert!(
            !variants.is_empty() && variants.iter().all(|v| v.kernel.name == row.name()),
            "{}: its own variants",
            row.name()
        );
        let cases = (row.cases)();
        let own = |case: &super::check::Case| case.name.split(' ').next() == Some(row.name());
        assert!(!cases.is_empty() && cases.iter().all(own), "{}: its own cases", row.name());
    }
}

#[test]
fn every_shader_says_what_it_computes() {
    for variant in variants() {
        let name = variant.kernel.name;
        let header = variant.kernel.source.lines().take_while(|l| l.starts_with("//"));
        assert!(
            header.clone().next().unwrap().starts_with(&format!("// {name}: ")),
            "{name}: the first line is the formula"
        );
        assert!(
            header.clone().any(|l| l.starts_with("// grid: ")),
            "{name}: the header names the grid"
        );
        assert!(variant.kernel.source.is_ascii(), "{name}: ASCII only");
        assert!(
            variant.kernel.source.lines().count() <= 200,
            "{name}: short enough to compile quickly"
        );
    }
}

#[test]
fn every_variant_validates_and_binds_as_rust_says() {
    for variant in variants() {
        let kernel = variant.kernel;
        let text = assemble(kernel, &variant.preludes, &variant.constants);
        let what = format!("{} {:?}", kernel.name, variant.constants);
        let module = naga::front::wgsl::parse_str(&text)
            .unwrap_or_else(|e| panic!("{what}: {}", e.emit_to_string(&text)));
        // What WebGPU gives without a feature; unpacking halves into floats is part of that.
        let core = naga::valid::Capabilities::SHADER_FLOAT16_IN_FLOAT32;
        let mut validator = naga::valid::Validator::new(naga::valid::ValidationFlags::all(), core);
        let info = validator
            .validate(&module)
            .unwrap_or_else(|e| panic!("{what}: {}", e.emit_to_string(&text)));
        let entry = &module.entry_points[0];
        let lanes = variant
            .constants
            .iter()
            .find(|c| c.0 == "WG")
            .map_or(if kernel.name == "empty" { 1 } else { LANES as u32 }, |c| c.1);
        assert_eq!((entry.name.as_str(), entry.workgroup_size), ("main", [lanes, 1, 1]), "{what}");
        let mut access = vec![None; kernel.bindings.len()];
        let mut shared = 0;
        for (_, variable) in module.global_variables.iter() {
            let Some(binding) = &variable.binding else {
                if variable.space == naga::AddressSpace::WorkGroup {
                    shared +=
                        module.types[variable.ty].inner.size(module.to_ctx()).next_multiple_of(16);
                }
                continue;
            };
            assert_eq!(binding.group, 0, "{what}");
            match variable.space {
                naga::AddressSpace::Uniform if binding.binding > 0 => {
                    access[binding.binding as usize - 1] = Some(Access::Uniform)
                }
                naga::AddressSpace::Uniform => {
                    let naga::TypeInner::Struct { members, .. } = &module.types[variable.ty].inner
                    else {
                        panic!("{what}: params")
                    };
                    let names: Vec<_> = members.iter().map(|m| m.name.clone().unwrap()).collect();
                    assert_eq!(names, kernel.params, "{what}: fields of Params");
                    // Rust's struct is packed 32-bit words: so must be the shader's.
                    assert!(
                        members.iter().enumerate().all(|(i, m)| m.offset == 4 * i as u32),
                        "{what}: offsets of Params"
                    );
                }
                naga::AddressSpace::Storage { access: a } => {
                    let writes = a.contains(naga::StorageAccess::STORE);
                    access[binding.binding as usize - 1] =
                        Some(if writes { Access::Write } else { Access::Read });
                }
                naga::AddressSpace::Handle => {
                    access[binding.binding as usize - 1] = Some(Access::Texture)
                }
                other => panic!("{what}: {other:?}"),
            }
        }
        let access: Vec<_> = access
            .into_iter()
            .map(|a| a.unwrap_or_else(|| panic!("{what}: a binding is missing")))
            .collect();
        // What is only read may be bound as a window or a texture, as a prelude has it.
        let alike = |(has, says): (&Access, &Access)| {
            has == says || *says == Access::Read && matches!(has, Access::Uniform | Access::Texture)
        };
        assert!(
            access.len() == kernel.bindings.len() && access.iter().zip(kernel.bindings).all(alike),
            "{what}: {access:?}"
        );
        assert!(access.len() <= 8 && shared <= 16 << 10, "{what}: within WebGPU's default limits");
        translate(&module, &info, &what);
    }
}

/// The shaders' state and Rust's are one struct; nothing indexes it by number.
#[test]
fn the_state_is_the_same_struct_in_shaders_and_in_rust() {
    let mut seen = 0;
    for variant in super::variants() {
        let name = variant.kernel.name;
        assert!(!variant.kernel.source.contains("state["), "{name}: the state has names");
        let module = naga::front::wgsl::parse_str(&assemble(
            variant.kernel,
            &variant.preludes,
            &variant.constants,
        ))
        .unwrap();
        let Some((_, state)) =
            module.types.iter().find(|(_, t)| t.name.as_deref() == Some("State"))
        else {
            continue;
        };
        let naga::TypeInner::Struct { members, span } = &state.inner else {
            panic!("{name}: State")
        };
        let fields: Vec<_> =
            members.iter().map(|m| (m.name.as_deref().unwrap(), m.offset as usize)).collect();
        assert_eq!((fields.as_slice(), u64::from(*span)), (FIELDS, State::BYTES), "{name}");
        seen += 1;
    }
    assert!(seen > 0, "some kernel uses the state");
}

/// To the languages of Vulkan, Metal, DX12 and the browser.
fn translate(module: &naga::Module, info: &naga::valid::ModuleInfo, what: &str) {
    naga::back::spv::write_vec(module, info, &naga::back::spv::Options::default(), None)
        .unwrap_or_else(|e| panic!("{what}: SPIR-V: {e}"));
    let options = naga::back::msl::Options { fake_missing_bindings: true, ..Default::default() };
    let pipeline = naga::back::msl::PipelineOptions::default();
    naga::back::msl::write_string(module, info, &options, &pipeline)
        .unwrap_or_else(|e| panic!("{what}: MSL: {e}"));
    let mut hlsl = String::new();
    let options = naga::back::hlsl::Options { fake_missing_bindings: true, ..Default::default() };
    let pipeline = naga::back::hlsl::PipelineOptions::default();
    naga::back::hlsl::Writer::new(&mut hlsl, &options, &pipeline)
        .write(module, info, None)
        .unwrap_or_else(|e| panic!("{what}: HLSL: {e}"));
    naga::back::wgsl::write_string(module, info, naga::back::wgsl::WriterFlags::empty())
        .unwrap_or_else(|e| panic!("{what}: WGSL: {e}"));
}
