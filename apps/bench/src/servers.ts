import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { memberClient } from '@coracle/kv-server/client'
import {
  addressOf,
  type ClusterPlan,
  flagsOf,
  freePorts,
  type MemberPlan,
  planCluster,
  startMember,
} from '@coracle/kv-server/processes'

const READY_WITHIN_MS = 20_000

/** Three processes on this machine that speak etcd's API, with their data on its disk. */
export interface Servers extends AsyncDisposable {
  /** Where the leader serves clients. */
  readonly leader: string
}

/** A server is started with the same flags whoever wrote it. */
type Start = (flags: readonly string[]) => AsyncDisposable

export function startOurs(): Promise<Servers> {
  const processes = import.meta.resolve('@coracle/kv-server/processes')
  const program = fileURLToPath(new URL('main.js', processes))
  return startServers((flags) => startMember({ program, flags }))
}

export function startEtcd(): Promise<Servers> {
  return startServers((flags) => {
    const child = spawn('etcd', [...flags, '--logger=zap', '--log-level=error'], {
      stdio: 'ignore',
    })
    return {
      async [Symbol.asyncDispose]() {
        if (child.exitCode !== null) return
        child.kill('SIGTERM')
        await once(child, 'exit')
      },
    }
  })
}

export async function isEtcdInstalled(): Promise<boolean> {
  const child = spawn('etcd', ['--version'], { stdio: 'ignore' })
  return new Promise((resolve) => {
    child.once('error', () => resolve(false))
    child.once('exit', (code) => resolve(code === 0))
  })
}

async function startServers(start: Start): Promise<Servers> {
  const directory = await mkdtemp(join(tmpdir(), 'coracle-bench-'))
  const ports = await freePorts(6)
  const plan = planCluster({
    directory,
    clientPorts: ports.slice(0, 3),
    peerPorts: ports.slice(3),
  })
  const members = plan.members.map((member) => start(flagsOf(plan, member)))
  const stop = async (): Promise<void> => {
    await Promise.all(members.map((member) => member[Symbol.asyncDispose]()))
    await rm(directory, { recursive: true, force: true })
  }
  try {
    return { leader: await findLeader(plan), [Symbol.asyncDispose]: stop }
  } catch (error) {
    await stop()
    throw error
  }
}

async function findLeader(plan: ClusterPlan): Promise<string> {
  const deadline = performance.now() + READY_WITHIN_MS
  while (performance.now() < deadline) {
    for (const member of plan.members) if (await leads(member)) return addressOf(member)
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
  throw new Error(`no leader was elected within ${READY_WITHIN_MS} ms`)
}

async function leads(member: MemberPlan): Promise<boolean> {
  using client = memberClient(addressOf(member))
  try {
    const { id, leader } = await client.status({ timeoutMs: 1_000 })
    return id === leader
  } catch {
    return false
  }
}
