import { spawnSync } from 'node:child_process';

/**
 * Before the tests: a real Redis, nginx, Prometheus and SPIN are part of them. Installs the distribution's where there is none, as
 * root on Debian. nginx is started by none but the tests.
 */
const requiredPrograms = [
  { command: 'redis-server', version: '--version', what: 'redis-server (7 or later)' },
  { command: 'nginx', version: '-v', what: 'nginx' },
  { command: 'prometheus', version: '--version', what: 'prometheus' },
  // The second checker of the charts, and the compiler of what it makes.
  { command: 'spin', version: '-V', what: 'spin' },
  { command: 'gcc', version: '--version', what: 'gcc' },
];

/** The linters of `.deploy/`. Where they cannot be installed, the tests do without. */
const linters = [
  { command: 'docker-compose', version: '--version', what: 'docker-compose' },
  { command: 'systemd-analyze', version: '--version', what: 'systemd' },
];

/** Debian has it where only root looks. */
const env = { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin` };

/** Installs what is missing; returns what still is. */
function install(programs: typeof requiredPrograms): typeof requiredPrograms {
  const missing = () => programs.filter(({ command, version }) => spawnSync(command, [version], { env }).status !== 0);
  const packages = missing().map(({ command }) => (command === 'systemd-analyze' ? 'systemd' : command));
  if (packages.length === 0) return [];
  const quiet = ['DEBIAN_FRONTEND=noninteractive', 'RUNLEVEL=1'];
  for (const args of [['update'], ['install', '--yes', '--no-install-recommends', ...packages]]) {
    spawnSync('env', [...quiet, 'apt-get', ...args], { stdio: 'inherit' });
  }
  return missing();
}

const [first] = install(requiredPrograms);
if (first !== undefined) throw new Error(`The tests need ${first.what} and could not install it.`);
install(linters);
