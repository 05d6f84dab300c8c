//! Which files of the host a container sees.

use bollard::models::Mount;
use clap::Args;

use super::value::volume::{self, Volume};
use super::value::{self, mount};
use super::{Draft, OptionError, some};

/// Flags about file systems.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Files")]
pub struct MountOptions {
    /// Bind mount a volume ([SOURCE:]TARGET[:OPTIONS]; options ro, rw, nocopy, z, Z, rshared, rslave, rprivate, …)
    #[arg(short, long, value_name = "VOLUME")]
    pub volume: Vec<String>,
    /// Attach a filesystem mount to the container (type=bind|volume|tmpfs|image,source=…,target=…[,readonly][,…])
    #[arg(long, value_parser = mount::mount)]
    pub mount: Vec<Mount>,
    /// Mount volumes from the specified container(s)
    #[arg(long, value_name = "CONTAINER[:ro|rw]")]
    pub volumes_from: Vec<String>,
    /// Optional volume driver for the container [default: local]
    #[arg(long, value_name = "DRIVER")]
    pub volume_driver: Option<String>,
    /// Mount a tmpfs directory (options size=64m, mode=1777, uid=, gid=, exec, …)
    #[arg(long, value_name = "DIR[:OPTIONS]")]
    pub tmpfs: Vec<String>,
    /// Mount the container's root filesystem as read only
    #[arg(long)]
    pub read_only: bool,
    /// Storage driver options for the container, such as size=10g
    #[arg(long, value_name = "KEY=VALUE")]
    pub storage_opt: Vec<String>,
}

impl MountOptions {
    /// Writes these flags into `draft`.
    pub fn fill(&self, draft: &mut Draft) -> Result<(), OptionError> {
        let (mut binds, mut anonymous) = (Vec::new(), Vec::new());
        let here = std::env::current_dir().unwrap_or_default();
        for spec in &self.volume {
            match volume::volume(spec, &here)? {
                Volume::Bind(bind) if !binds.contains(&bind) => binds.push(bind),
                Volume::Anonymous(path) if !anonymous.contains(&path) => anonymous.push(path),
                _ => {}
            }
        }
        if self.storage_opt.iter().any(|option| !option.contains('=')) {
            return Err(OptionError::Value("invalid storage option".to_owned()));
        }
        draft.body.volumes = some(anonymous);
        let host = &mut draft.host;
        host.binds = some(binds);
        host.mounts = some(self.mount.clone());
        host.volumes_from = some(self.volumes_from.clone());
        host.volume_driver = self.volume_driver.clone();
        host.tmpfs = (!self.tmpfs.is_empty()).then(|| {
            let split = |flag: &String| match flag.split_once(':') {
                Some((path, options)) => (path.to_owned(), options.to_owned()),
                None => (flag.clone(), String::new()),
            };
            self.tmpfs.iter().map(split).collect()
        });
        host.readonly_rootfs = Some(self.read_only);
        host.storage_opt = (!self.storage_opt.is_empty()).then(|| value::map(&self.storage_opt));
        Ok(())
    }
}
