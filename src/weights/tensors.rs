//! The tensors of a checkpoint folder: safetensors or PyTorch's `.bin`, one file or many, located
//! at once and read by rows.

use super::choice::{Choice, Index, choose};
use super::files::Files;
use super::gguf::blocks::Type;
use super::safetensors::read_header;
use crate::error::{Error, Result};
#[cfg(feature = "native")]
use crate::parallel::Guarded;
use safetensors::Dtype;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// One tensor of a folder.
#[derive(Clone, Debug)]
pub struct Tensor {
    /// The file it lies in.
    pub file: String,
    /// Element type, as the file names it.
    pub dtype: String,
    /// Shape, outermost first.
    pub shape: Vec<usize>,
    /// Not 0: in the file, rotation partners i and i + n / 2 of each head of n rows are neighbours
    /// 2i and 2i + 1.
    neighbours: usize,
    place: Place,
}

#[derive(Clone, Debug)]
enum Place {
    /// Bytes of the file.
    Range(Range<u64>),
    /// Whatever PyTorch's container says; read whole.
    #[cfg(feature = "native")]
    Torch(pytorch_reader::Tensor),
}

impl Tensor {
    /// A tensor of a GGUF file, its bytes in `range`; for `neighbours` see the field.
    pub(super) fn in_gguf(
        file: &str,
        dtype: &str,
        shape: Vec<usize>,
        range: Range<u64>,
        neighbours: usize,
    ) -> Tensor {
        let (file, dtype) = (file.to_owned(), dtype.to_owned());
        Tensor { file, dtype, shape, neighbours, place: Place::Range(range) }
    }

    fn kind(&self) -> Option<Type> {
        Type::named(&self.dtype)
    }

    /// Whether its values can be read as floats.
    pub fn is_float(&self) -> bool {
        self.kind().is_some()
    }

    /// What identifies it without its values.
    pub fn describe(&self) -> String {
        match &self.place {
            Place::Range(range) => {
                format!("{} {:?} {} {range:?}", self.dtype, self.shape, self.file)
            }
            #[cfg(feature = "native")]
            Place::Torch(_) => format!("{} {:?} {}", self.dtype, self.shape, self.file),
        }
    }
}

/// A folder and its tensors.
pub struct Folder {
    /// The files.
    pub files: Box<dyn Files>,
    /// Every tensor by name.
    pub tensors: BTreeMap<String, Tensor>,
    /// The tensor of a `.bin` read last: its rows are asked for in pieces.
    #[cfg(feature = "native")]
    recent: Guarded<Option<(String, Arc<Vec<u8>>)>>,
}

/// Some rows of a tensor, as they lie in the file.
#[derive(Clone, Debug)]
pub struct Rows {
    kind: Type,
    width: usize,
    first: usize,
    neighbours: usize,
    /// Bytes before row `first`.
    skip: usize,
    bytes: Arc<Vec<u8>>,
}

impl Rows {
    /// Row `row` of the tensor as floats.
    pub fn copy(&self, row: usize, out: &mut [f32]) {
        let size = self.kind.bytes(self.width);
        let row = in_file(row, self.neighbours) - self.first;
        self.kind.decode(&self.bytes[self.skip + row * size..][..size], &mut out[..self.width]);
    }
}

/// The row of the file at which row `row` lies.
fn in_file(row: usize, neighbours: usize) -> usize {
    if neighbours == 0 {
        return row;
    }
    let (head, i) = (row / neighbours, row % neighbours);
    let half = neighbours / 2;
    head * neighbours + i % half * 2 + i / half
}

impl Folder {
    /// Reads the headers of the files that an index names, or of those with the usual names;
    /// safetensors before `.bin`.
    ///
    /// # Errors
    /// [`Error::ModelMissing`] or [`Error::ModelCorrupt`] with the file and, where there is one,
    /// the tensor.
    pub async fn open(files: Box<dyn Files>) -> Result<Folder> {
        if let Some(tensors) = files.tensors() {
            return Ok(Folder {
                files,
                tensors,
                #[cfg(feature = "native")]
                recent: Guarded::new(None),
            });
        }
        let mut tensors = BTreeMap::new();
        let Choice { files: names, index } = choose(&*files).await?;
        for file in &names {
            for (name, tensor) in read_file(&*files, file).await? {
                if let Some(old) = tensors.insert(name.clone(), tensor) {
                    let problem = format!("tensor {name} is also in {}", old.file);
                    return Err(Error::ModelCorrupt { file: file.clone(), problem });
                }
            }
        }
        if let Some(Index { name: index, tensors: map }) = index {
            for (name, file) in map {
                if tensors.get(&name).is_none_or(|t: &Tensor| t.file != file) {
                    let problem =
                        format!("tensor {name} is not in {file}, where {index} says it is");
                    return Err(Error::ModelCorrupt { file: index.into(), problem });
                }
            }
        }
        Ok(Folder {
            files,
            tensors,
            #[cfg(feature = "native")]
            recent: Guarded::new(None),
        })
    }

    /// Rows of a tensor whose shape and type were checked; a vector has rows of one value.
    ///
    /// # Errors
    /// [`Error::TensorMissing`], [`Error::TensorType`], or what reading fails with.
    pub async fn rows(&self, name: &str, rows: Range<usize>) -> Result<Rows> {
        let missing = || Error::TensorMissing {
            name: name.into(),
            hint: "; the download may be incomplete".into(),
        };
        let tensor = self.tensors.get(name).ok_or_else(missing)?;
        let kind = tensor
            .kind()
            .ok_or_else(|| Error::TensorType { name: name.into(), dtype: tensor.dtype.clone() })?;
        let width: usize = tensor.shape.iter().skip(1).product();
        let row_bytes = kind.bytes(width);
        let neighbours = tensor.neighbours;
        // Rows of one head lie scattered over it.
        let rows = match neighbours {
            0 => rows,
            n => rows.start / n * n..rows.end.next_multiple_of(n),
        };
        let first = rows.start;
        match &tensor.place {
            Place::Range(range) => {
                let start = range.start + (rows.start * row_bytes) as u64;
                let bytes = self
                    .files
                    .read(&tensor.file, start..start + (rows.len() * row_bytes) as u64)
                    .await?;
                Ok(Rows { kind, width, first, neighbours, skip: 0, bytes: Arc::new(bytes) })
            }
            #[cfg(feature = "native")]
            Place::Torch(torch) => {
                let recent = self
                    .recent
                    .lock()
                    .as_ref()
                    .filter(|(n, _)| n == name)
                    .map(|(_, bytes)| bytes.clone());
                let bytes = match recent {
                    Some(bytes) => bytes,
                    None => {
                        self.recent.replace(None);
                        let corrupt = |e: std::io::Error| Error::ModelCorrupt {
                            file: tensor.file.clone(),
                            problem: e.to_string(),
                        };
                        let bytes = Arc::new(torch.read().map_err(corrupt)?);
                        self.recent.replace(Some((name.to_owned(), bytes.clone())));
                        bytes
                    }
                };
                Ok(Rows { kind, width, first, neighbours, skip: first * row_bytes, bytes })
            }
        }
    }

    /// A whole tensor as floats, row-major.
    ///
    /// # Errors
    /// As [`Folder::rows`].
    pub async fn floats(&self, name: &str) -> Result<Vec<f32>> {
        let shape = self.tensors.get(name).map(|t| t.shape.clone()).unwrap_or_default();
        let (n, width) =
            (shape.first().copied().unwrap_or(0), shape.iter().skip(1).product::<usize>());
        let rows = self.rows(name, 0..n).await?;
        let mut out = vec![0.0; n * width];
        out.chunks_exact_mut(width.max(1)).enumerate().for_each(|(row, out)| rows.copy(row, out));
        Ok(out)
    }
}

async fn read_file(files: &dyn Files, file: &str) -> Result<Vec<(String, Tensor)>> {
    #[cfg(feature = "native")]
    if file.ends_with(".bin") {
        return read_torch(files, file);
    }
    #[cfg(not(feature = "native"))]
    if file.ends_with(".bin") {
        let problem =
            "PyTorch's own format is not read in the browser; a pack of the folder is".into();
        return Err(crate::error::Error::ModelCorrupt { file: file.to_owned(), problem });
    }
    let entries = read_header(files, file).await?.into_iter().map(|(name, entry)| {
        let dtype = match entry.dtype {
            Dtype::BF16 => "BF16".to_owned(),
            other => format!("{other:?}"),
        };
        (
            name,
            Tensor {
                file: entry.file,
                dtype,
                shape: entry.shape,
                neighbours: 0,
                place: Place::Range(entry.range),
            },
        )
    });
    Ok(entries.collect())
}

/// The tensors of a `.bin`: a pickle is data here, nothing in it is executed.
#[cfg(feature = "native")]
fn read_torch(files: &dyn Files, file: &str) -> Result<Vec<(String, Tensor)>> {
    let folder = std::path::PathBuf::from(files.describe());
    let Some(path) = files.path(file).filter(|p| p.is_file()) else {
        return Err(Error::ModelMissing {
            path: folder.join(file),
            why: "there is no such file; the download may be incomplete".into(),
        });
    };
    let corrupt = |problem: String| Error::ModelCorrupt { file: file.into(), problem };
    let size = std::fs::metadata(&path).map_or(0, |meta| meta.len());
    let reader = pytorch_reader::PytorchReader::new(path).map_err(|e| corrupt(e.to_string()))?;
    // A view may repeat its storage (stride 0): never into more than the file could hold, or a
    // small file asks for much memory.
    if let Some(torch) = reader.tensors().values().find(|torch| torch.byte_len() as u64 > size) {
        return Err(corrupt(format!(
            "tensor {} claims {} bytes of a file of {size}",
            torch.name,
            torch.byte_len()
        )));
    }
    let mut tensors: Vec<_> = reader
        .into_tensors()
        .into_iter()
        .map(|(name, torch)| {
            let (dtype, shape) = (format!("{:?}", torch.dtype()), torch.shape().to_vec());
            let (file, place) = (file.to_owned(), Place::Torch(torch));
            (name, Tensor { file, dtype, shape, neighbours: 0, place })
        })
        .collect();
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(tensors)
}
