//! Every case that llama.cpp has a file for, as its converters would write it: the same tensors bit
//! for bit as the folder's, and a pack of the pair gives what PyTorch gives.

use super::pair::{Draft, KINDS, Kind, drafts};
use super::settings::Changed;
use super::{CASES, Case, folder, load, run};
use mqt::cancel::Cancel;
use mqt::convert::{Conversion, convert};
use mqt::gpu::AdapterChoice;
use mqt::internals::weights::Supply;
use mqt::internals::weights::checkpoint::Checkpoint;
use mqt::internals::weights::files::Disk;
use mqt::internals::weights::gguf::{on_disk, open};
use mqt::internals::weights::layout::{Role, layout};
use mqt::model::{Weights, WeightsChoice};
use mqt::text::TemplateChoice;
use mqt::{Error, Model};
use pollster::block_on;
use std::path::PathBuf;

/// A pair of files, and what they are written into.
struct Written {
    folder: tempfile::TempDir,
    model: PathBuf,
    mmproj: PathBuf,
}

fn written([model, mmproj]: &[Draft; 2]) -> Written {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let made = Written { model: path("model.gguf"), mmproj: path("mmproj.gguf"), folder };
    model.write(&made.model);
    mmproj.write(&made.mmproj);
    made
}

impl Written {
    fn open(&self) -> Result<Checkpoint, Error> {
        let (model, mmproj) = (on_disk(&self.model).unwrap(), on_disk(&self.mmproj).unwrap());
        block_on(open(model, mmproj, WeightsChoice::from(Weights::F32)))
    }

    fn pack(&self) -> Model {
        let pack = self.folder.path().join("pack");
        let mut what = Conversion::new(&self.model, &pack, Weights::F32);
        what.mmproj = Some(&self.mmproj);
        block_on(convert(&what, &Cancel::new(), &mut |_| {}, &mut |_| {})).unwrap();
        load(pack, AdapterChoice::Cpu, Weights::F32).unwrap()
    }
}

fn published(case: &str) -> Checkpoint {
    let files = Disk::open(&folder(case).join("checkpoint")).unwrap();
    let tower = folder(case).join("checkpoint/vision_tower");
    let tower = tower.exists().then(|| Box::new(Disk::open(&tower).unwrap()) as _);
    // MobileVLM's own tower counts: the folder beside it has no tensors.
    let weights = WeightsChoice::from(Weights::F32);
    block_on(Checkpoint::open(Box::new(files), tower, weights)).unwrap()
}

fn kind(case: &str) -> &'static Kind {
    KINDS.iter().find(|kind| kind.case == case).unwrap()
}

#[test]
fn every_tensor_of_a_pair_is_the_folders_bit_for_bit() {
    for kind in &KINDS {
        let files = written(&drafts(kind));
        let (pair, folder) = (files.open().unwrap(), published(kind.case));
        assert_eq!(pair.config.vision, folder.config.vision, "{}", kind.case);
        for entry in layout(&folder.config) {
            let what = format!("{}: {}", kind.case, entry.name);
            if matches!(entry.role, Role::Vector | Role::Map) {
                let of = |checkpoint: &Checkpoint| block_on(checkpoint.vector(&entry)).unwrap();
                let bits =
                    |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
                assert_eq!(bits(of(&pair)), bits(of(&folder)), "{what}");
                continue;
            }
            let panels = 0..entry.rows.div_ceil(mqt::internals::quant::PANEL);
            let of = |checkpoint: &Checkpoint| {
                block_on(checkpoint.panels(&entry, panels.clone())).unwrap()
            };
            assert!(of(&pair) == of(&folder), "{what}");
        }
    }
}

#[test]
fn a_pair_of_gguf_files_equals_pytorch() {
    for kind in &KINDS {
        let case = CASES.iter().find(|case: &&Case| case.name == kind.case).unwrap();
        let model = written(&drafts(kind)).pack();
        let (config, read) = (model.config(), Changed::of(kind.case).open().unwrap());
        assert_eq!((&config.vision, &config.projector), (&read.vision, &read.projector));
        assert_eq!(config.preparing, read.preparing, "{}", kind.case);
        assert_eq!(
            (config.mean, config.std, config.pad_to_square),
            (read.mean, read.std, read.pad_to_square)
        );
        assert_eq!(config.reads_documents, read.reads_documents, "{}", kind.case);
        // The file names one end, Qwen's chat template writes another.
        assert!(read.end_ids.iter().all(|id| config.end_ids.contains(id)), "{}", kind.case);
        run(case, &model);
        // The ids of the case come from the published tokenizer; so do the pair's.
        let folder =
            load(folder(kind.case).join("checkpoint"), AdapterChoice::Cpu, Weights::F32).unwrap();
        for text in ["User: what is it?", "\n\n", "in 2024 café ☃", "it's 12345, e\u{301}.\r\n"]
        {
            let (got, want) = (model.tokenizer().encode(text), folder.tokenizer().encode(text));
            assert_eq!(got, want, "{}: {text:?}", kind.case);
        }
    }
}

#[test]
fn a_pair_speaks_as_its_folder_does() {
    for kind in &KINDS {
        let (pair, folder) = (written(&drafts(kind)).open().unwrap(), published(kind.case));
        let of =
            |checkpoint: &Checkpoint| block_on(checkpoint.template(&TemplateChoice::Own)).unwrap();
        let turns = [("q", Some("a")), ("r", None)];
        let written = |checkpoint| of(checkpoint).written(Some("P"), &turns);
        assert_eq!(written(&pair), written(&folder), "{}", kind.case);
    }
}

#[test]
fn qwens_end_of_a_turn_ends_an_answer_whatever_the_key_says() {
    let pair = written(&drafts(kind("llava_interleave"))).open().unwrap();
    assert_eq!(pair.config.end_ids, [326, 328]);
}

/// LLaVA's own code pads; its converter writes that down, where the checkpoint says so.
#[test]
fn a_siglip_tower_of_a_file_that_pads_gets_padded_pictures() {
    let mut files = drafts(kind("llava_interleave"));
    let plain = written(&files).open().unwrap().config;
    assert!(plain.preparing.stretch && plain.preparing.over_white && !plain.pad_to_square);
    files[1].text("clip.vision.image_aspect_ratio", "pad");
    let padded = written(&files).open().unwrap().config;
    assert!(!padded.preparing.stretch && !padded.preparing.over_white && padded.pad_to_square);
}

#[test]
fn what_a_file_cannot_say_of_llava_onevision_is_refused_with_what_helps() {
    let refused = |change: &dyn Fn(&mut Draft)| {
        let mut files = drafts(kind("llava_interleave"));
        change(&mut files[1]);
        let error = written(&files).open().err().unwrap();
        assert_eq!(error.exit_code(), 3);
        error.to_string()
    };
    for said in [
        refused(&|draft| draft.tensor("model.image_newline", &[64], &[0.0; 64])),
        refused(&|draft| draft.text("clip.vision.mm_patch_merge_type", "spatial_unpad")),
    ] {
        assert!(said.contains("LLaVA-OneVision") && said.contains("published folder"), "{said}");
    }
    let other = refused(&|draft| draft.text("clip.projector_type", "ldp"));
    assert!(other.contains("\"ldp\" is not supported yet") && other.contains("ldpv2"), "{other}");
    let tiles = refused(&|draft| draft.text("clip.vision.image_aspect_ratio", "anyres_max_9"));
    assert!(tiles.contains("clip.vision.image_aspect_ratio"), "{tiles}");
}
