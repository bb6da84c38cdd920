use super::*;

/// Opens and writes, as a command does.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    Target::open("-o", path)?.write(bytes)
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_file_appears_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.bin");
    let target = Target::open("-o", &path).unwrap();
    assert!(!path.exists());
    target.write(b"abc").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"abc");
    assert_eq!(names(folder.path()), ["a.bin"]);
    // Nothing stays behind an output that was never written.
    drop(Target::open("-o", &folder.path().join("b.bin")).unwrap());
    assert_eq!(names(folder.path()), ["a.bin"]);
    let long = "n".repeat(255);
    write(&folder.path().join(&long), b"abc").unwrap();
    assert_eq!(names(folder.path()), ["a.bin", &long]);
}

#[test]
fn targets_are_checked_first() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("file"), "").unwrap();
    assert!(Target::open("-o", &at("a.bin")).is_ok());
    for path in [
        folder.path().to_owned(),
        at("no/a.bin"),
        at("file/a.bin"),
        at("new/"),
        PathBuf::new(),
        at(".."),
    ] {
        assert_eq!(Target::open("-o", &path).err().unwrap().code, 2, "{}", path.display());
    }
    assert_eq!(names(folder.path()), ["file"]);
}

#[test]
fn a_second_writer_is_refused_under_every_name() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("old"), "old").unwrap();
    let (old, new) =
        (Target::open("-o", &at("old")).unwrap(), Target::open("-o", &at("new")).unwrap());
    let mut others = vec!["old", "new", "./new"];
    if cfg!(unix) {
        fs::hard_link(at("old"), at("twin")).unwrap();
        #[cfg(unix)]
        for (to, link) in [("old", "to old"), ("new", "to new")] {
            std::os::unix::fs::symlink(to, at(link)).unwrap();
        }
        others.extend(["twin", "to old", "to new"]);
    }
    for name in &others {
        let failure = Target::open("-o", &at(name)).err().unwrap();
        assert!(
            failure.code == 1
                && failure.message.as_ref().unwrap().contains("in use by another mqt"),
            "{name}: {failure:?}"
        );
    }
    assert_eq!(open_to_add("-o", &at("old")).err().unwrap().code, 1);
    old.write(b"1").unwrap();
    new.write(b"2").unwrap();
    for name in others {
        write(&at(name), b"3").unwrap();
    }
}

#[test]
fn what_another_program_has_made_meanwhile_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.bin");
    let target = Target::open("-o", &path).unwrap();
    fs::write(&path, "theirs").unwrap();
    assert_eq!(target.write(b"ours").unwrap_err().code, 1);
    assert_eq!(fs::read(&path).unwrap(), b"theirs");
    assert_eq!(names(folder.path()), ["a.bin"]);
}

#[test]
fn outputs_are_apart_from_each_other_and_from_what_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in ["in", "out"] {
        fs::write(at(name), name).unwrap();
    }
    let (input, out, new) = (at("in"), at("out"), at("new"));
    let inputs = [("the picture", input.as_path())];
    keep_apart(&[("-o", &out), ("--plot", &new)], &inputs).unwrap();
    let mut wrong = vec![
        [out.clone(), out.clone()],
        [new.clone(), new.clone()],
        [new.clone(), at("../").join(&new)],
        [new.clone(), at("in")],
    ];
    if cfg!(unix) {
        fs::hard_link(at("in"), at("twin")).unwrap();
        wrong.push([new, at("twin")]);
        #[cfg(unix)]
        std::os::unix::fs::symlink("later", at("link")).unwrap();
        wrong.push([at("link"), at("later")]);
    }
    for [first, second] in wrong {
        assert_eq!(
            keep_apart(&[("-o", &first), ("--plot", &second)], &inputs).unwrap_err().code,
            2,
            "{first:?} {second:?}"
        );
    }
    #[cfg(unix)]
    keep_apart(&[("-o", Path::new("/dev/null")), ("--plot", Path::new("/dev/null"))], &inputs)
        .unwrap();
}

#[cfg(unix)]
mod unix {
    use super::*;
    use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn links_lead_to_the_file_that_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("sub")).unwrap();
        fs::write(at("sub/real"), "old").unwrap();
        symlink("sub/real", at("one")).unwrap();
        symlink("one", at("two")).unwrap();
        symlink("sub/later", at("dangling")).unwrap();
        symlink("no/where", at("lost")).unwrap();
        symlink("circle", at("circle")).unwrap();
        write(&at("two"), b"new").unwrap();
        write(&at("dangling"), b"made").unwrap();
        assert_eq!(
            (fs::read(at("sub/real")).unwrap(), fs::read(at("sub/later")).unwrap()),
            (b"new".to_vec(), b"made".to_vec())
        );
        assert_eq!(
            (
                write(&at("lost"), b"x").unwrap_err().code,
                write(&at("circle"), b"x").unwrap_err().code
            ),
            (2, 1)
        );
        for link in ["one", "two", "dangling", "lost", "circle"] {
            assert!(at(link).symlink_metadata().unwrap().is_symlink(), "{link}");
        }
    }

    #[test]
    fn mode_owner_and_other_names_stay() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (name, bits) in [("600", 0o600), ("755", 0o755), ("666", 0o666)] {
            fs::write(at(name), "old and longer").unwrap();
            fs::set_permissions(at(name), fs::Permissions::from_mode(bits)).unwrap();
            // Only root may give a file away.
            let given = std::os::unix::fs::chown(at(name), Some(12345), Some(12345)).is_ok();
            let owner = fs::metadata(at(name)).unwrap().uid();
            assert!(!given || owner == 12345);
            write(&at(name), b"new").unwrap();
            assert_eq!(
                (
                    mode(&at(name)),
                    fs::metadata(at(name)).unwrap().uid(),
                    fs::read(at(name)).unwrap()
                ),
                (bits, owner, b"new".to_vec())
            );
        }
        fs::write(at("a"), "old and longer").unwrap();
        fs::hard_link(at("a"), at("b")).unwrap();
        write(&at("a"), b"new").unwrap();
        assert_eq!(fs::read(at("b")).unwrap(), b"new");
        assert_eq!(fs::metadata(at("b")).unwrap().nlink(), 2);
        // A new file is one like any other.
        fs::write(at("usual"), "").unwrap();
        write(&at("new"), b"new").unwrap();
        assert_eq!(mode(&at("new")), mode(&at("usual")));
    }

    #[test]
    fn a_file_that_may_not_be_written_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
        // Root may write it, and then its mode stays.
        let is_root = OpenOptions::new().write(true).open(&path).is_ok();
        let written = write(&path, b"new");
        assert_eq!((written.is_ok(), mode(&path)), (is_root, 0o444));
        assert_eq!(fs::read(&path).unwrap(), if is_root { b"new" } else { b"old" });
    }

    // Pipes are tested with the program: a process that is started here would hold the locks of the
    // other tests for a moment.
    #[test]
    fn devices_are_written_into() {
        let folder = tempfile::tempdir().unwrap();
        write(Path::new("/dev/null"), b"gone").unwrap();
        assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
        // What is read back is in a file.
        for path in [Path::new("/dev/null"), folder.path()] {
            assert_eq!(open_to_add("-o", path).err().unwrap().code, 2, "{}", path.display());
        }
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let failure = write(&socket, b"x").unwrap_err();
        assert!(failure.code == 2 && failure.message.unwrap().contains("a socket"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disc_is_said_and_open_files_are_added_to() {
        use std::os::fd::AsRawFd;
        let failure = write(Path::new("/dev/full"), b"x").unwrap_err();
        assert!(
            failure.code == 1 && failure.message.unwrap().contains("/dev/full cannot be written")
        );
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "first ").unwrap();
        let name = |file: &File, list: &str| PathBuf::from(format!("{list}/{}", file.as_raw_fd()));
        let open = OpenOptions::new().append(true).open(&path).unwrap();
        write(&name(&open, "/dev/fd"), b"second ").unwrap();
        write(&name(&open, "/proc/self/fd"), b"third").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"first second third");
        // Its name would let it be written.
        let reading = File::open(&path).unwrap();
        assert_eq!(write(&name(&reading, "/dev/fd"), b"x").unwrap_err().code, 1);
        assert_eq!(write(Path::new("/dev/fd/987654"), b"x").unwrap_err().code, 1);
        assert_eq!(fs::read(&path).unwrap(), b"first second third");
    }

    #[test]
    fn a_lock_beside_is_no_link() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        symlink("elsewhere", at(".a.mqt-lock")).unwrap();
        assert_eq!(write(&at("a"), b"x").unwrap_err().code, 1);
        assert!(!at("elsewhere").exists());
    }
}
