/** etcd itself, on machines that have it, to ask the same as ours. */
import { spawn } from 'node:child_process'
import { accessSync, constants, existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { type RawClient, rawClient } from './harness.ts'

export interface RealEtcd extends AsyncDisposable {
  readonly client: RawClient
  /** Where it listens for clients. */
  readonly address: string
}

/** A disk of memory, if there is one: nobody is to wait for etcd's fsync. */
const FOLDER = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()

export function isInstalled(program: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

/** A member of its own on free ports, with its data in a folder that goes with it. */
export async function startRealEtcd(flags: readonly string[] = []): Promise<RealEtcd> {
  const directory = await mkdtemp(join(FOLDER, 'real-etcd-'))
  const [client, peer] = await Promise.all([freePort(), freePort()])
  const [clientUrl, peerUrl] = [`http://127.0.0.1:${client}`, `http://127.0.0.1:${peer}`]
  const child = spawn(
    'etcd',
    [
      `--data-dir=${directory}`,
      `--listen-client-urls=${clientUrl}`,
      `--advertise-client-urls=${clientUrl}`,
      `--listen-peer-urls=${peerUrl}`,
      `--initial-advertise-peer-urls=${peerUrl}`,
      `--initial-cluster=default=${peerUrl}`,
      ...flags,
    ],
    { stdio: 'ignore' },
  )
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const address = `127.0.0.1:${client}`
  const raw = rawClient(address)
  const etcd: RealEtcd = {
    client: raw,
    address,
    async [Symbol.asyncDispose]() {
      raw[Symbol.dispose]()
      child.kill('SIGKILL')
      await exited
      await rm(directory, { recursive: true, force: true })
    },
  }
  try {
    await untilItServes(raw, () => child.exitCode !== null)
  } catch (error) {
    await etcd[Symbol.asyncDispose]()
    throw error
  }
  return etcd
}

async function untilItServes(client: RawClient, hasExited: () => boolean): Promise<void> {
  const giveUp = performance.now() + 20_000
  for (;;) {
    try {
      await client.call('KV/Range', { key: Uint8Array.of(1) }, { deadline: Date.now() + 1_000 })
      return
    } catch (error) {
      if (hasExited() || performance.now() > giveUp) throw error
      await setTimeout(50)
    }
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })
}
