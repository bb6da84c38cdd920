//! What goes wrong on devices, and matrices larger than a binding.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::device::Trouble;
use super::*;
use crate::error::Error;
use crate::kernels::check::{F32_LIMIT, compare, gpu_or_skip, random};
use crate::kernels::product::{Act, Weights, linear, reference};
use crate::kernels::{embed, product as product_kernel};
use crate::quant::{Format, Packed};
use pollster::block_on;

#[test]
fn a_matrix_above_the_binding_limit_is_split() {
    let Some(gpu) = gpu_or_skip() else { return };
    let (n, rows, cols) = (5, 200, 100);
    for format in Format::ALL {
        let packed = Packed::pack(format, &random(1, rows * cols), rows, cols);
        let (x, bias) = (random(2, n * cols), random(3, rows));
        let ids: Vec<u32> = vec![0, 31, 32, 64, 95, 96, 128, 199];
        let (product, gathered) = block_on(async {
            let full = gpu.max_binding_bytes();
            // Two panels of data at most, so four parts.
            gpu.limit_bindings(2 * packed.panel_data_words() as u64 * 4);
            let w = gpu.upload_matrix("w", &packed).await.unwrap();
            gpu.limit_bindings(full);
            assert_eq!(w.parts.len(), 4);
            let (x, bias) = (
                gpu.upload("x", &x, n, cols).await.unwrap(),
                gpu.upload("bias", &bias, 1, rows).await.unwrap(),
            );
            let (out, rows_out) = (
                gpu.tensor("out", n, rows).await.unwrap(),
                gpu.tensor("rows", ids.len(), cols).await.unwrap(),
            );
            let ids_gpu = gpu.storage("ids", ids.len() as u64 * 4).await.unwrap();
            gpu.write(&ids_gpu, 0, bytemuck::cast_slice(&ids));
            let mut rec = gpu.recorder();
            linear(&mut rec, x.slice(0..n), Weights { matrix: &w, bias: Some(&bias) }, &out);
            embed::embed(&mut rec, &ids_gpu, ids.len(), &w, &rows_out, 0);
            rec.submit();
            (
                gpu.read_rows(&out, 0, n).await.unwrap(),
                gpu.read_rows(&rows_out, 0, ids.len()).await.unwrap(),
            )
        });
        let check = compare(&product, &reference(&x, &packed, Some(&bias), Act::None), F32_LIMIT);
        assert!(check.ok, "{}: {}", format.name(), check.message);
        let check = compare(&gathered, &embed::reference(&ids, &packed), F32_LIMIT);
        assert!(check.ok, "{}: {}", format.name(), check.message);
    }
}

#[test]
fn too_large_a_buffer_names_the_limit() {
    let Some(gpu) = gpu_or_skip() else { return };
    let error = block_on(gpu.storage("something huge", 1 << 40)).unwrap_err();
    assert!(
        matches!(&error, Error::LimitTooSmall { limit: "maxStorageBufferBindingSize", .. }),
        "{error}"
    );
    assert_eq!(error.exit_code(), 5);
}

/// Small buffers are created without waiting for the device's word, which comes later.
#[test]
fn a_small_buffer_without_memory_spoils_the_device() {
    let Some(gpu) = gpu_or_skip() else { return };
    let x = block_on(gpu.upload("x", &[1.0; 64], 1, 64)).unwrap();
    *gpu.0.lost.lock().unwrap() = Some(Trouble::OutOfMemory);
    let error = block_on(gpu.read_rows(&x, 0, 1)).unwrap_err();
    assert!(matches!(error, Error::OutOfMemory { .. }) && error.exit_code() == 5, "{error}");
    assert!(!error.to_string().contains('('), "{error}");
}

#[test]
fn a_lost_device_is_an_error_from_then_on() {
    let Some(gpu) = gpu_or_skip() else { return };
    let x = block_on(gpu.upload("x", &[1.0; 64], 1, 64)).unwrap();
    assert_eq!(block_on(gpu.read_rows(&x, 0, 1)).unwrap(), [1.0; 64]);
    gpu.0.device.destroy();
    for _ in 0..2 {
        let error = block_on(gpu.read_rows(&x, 0, 1)).unwrap_err();
        assert!(matches!(error, Error::DeviceLost { .. }) && error.exit_code() == 5, "{error}");
    }
    assert!(block_on(gpu.idle()).is_err());
    // Recording and submitting on a lost device does nothing, and does not panic.
    let mut rec = gpu.recorder();
    rec.copy(&x.storage, 0, &x.storage.clone(), 128, 64);
    rec.submit();
}

#[test]
fn after_the_first_time_nothing_is_compiled_again() {
    let Some(gpu) = gpu_or_skip() else { return };
    let run = || {
        for case in product_kernel::lanes::cases().iter().take(3) {
            assert!(block_on(case.run(&gpu)).unwrap().ok);
        }
        gpu.pipeline_count()
    };
    assert_eq!(run(), run());
}

#[test]
fn an_unknown_adapter_lists_what_there_is() {
    let error = block_on(Gpu::open(&AdapterChoice::Named("no such thing".into()))).unwrap_err();
    assert!(error.to_string().contains("cpu") && error.exit_code() == 4, "{error}");
}
