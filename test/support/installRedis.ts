import { spawnSync } from 'node:child_process';

/** Before the tests: a real Redis is part of them. Installs the distribution's where there is none, as root on Debian. */
const isThere = (): boolean => spawnSync('redis-server', ['--version']).status === 0;

if (!isThere()) {
  for (const args of [['update'], ['install', '--yes', '--no-install-recommends', 'redis-server']]) {
    spawnSync('env', ['DEBIAN_FRONTEND=noninteractive', 'apt-get', ...args], { stdio: 'inherit' });
  }
  if (!isThere()) throw new Error('The tests need redis-server (7 or later) and could not install it.');
}
