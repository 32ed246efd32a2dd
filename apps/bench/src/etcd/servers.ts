import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
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
  /** What the leader's process keeps in memory, in bytes. */
  leaderMemory(): Promise<number>
  /** What the leader's process has computed so far, in milliseconds, without what the kernel did for it. */
  leaderCpuMs(): Promise<number>
  /** Stops all and starts them again, without waiting until they serve. Answers with their addresses. */
  restart(): Promise<readonly string[]>
}

interface ServerProcess extends AsyncDisposable {
  readonly pid: number
}

/** A server is started with the same flags whoever wrote it. */
type Start = (flags: readonly string[]) => ServerProcess

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
      pid: child.pid ?? 0,
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
  const startAll = (): ServerProcess[] => plan.members.map((each) => start(flagsOf(plan, each)))
  let members = startAll()
  const stopAll = async (): Promise<void> => {
    await Promise.all(members.map((member) => member[Symbol.asyncDispose]()))
  }
  const stop = async (): Promise<void> => {
    await stopAll()
    await rm(directory, { recursive: true, force: true })
  }
  try {
    const leader = await findLeader(plan)
    const pidOfLeader = (): number => (members[plan.members.indexOf(leader)] as ServerProcess).pid
    return {
      leader: addressOf(leader),
      leaderMemory: () => memoryOf(pidOfLeader()),
      leaderCpuMs: () => cpuMsOf(pidOfLeader()),
      async restart() {
        await stopAll()
        members = startAll()
        return plan.members.map(addressOf)
      },
      [Symbol.asyncDispose]: stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}

/** The pages of a process that are in memory. */
async function memoryOf(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  const [, kibibytes] = /^VmRSS:\s+(\d+) kB$/m.exec(status) ?? []
  if (kibibytes === undefined) throw new Error(`process ${pid} does not say what it takes`)
  return Number(kibibytes) * 1_024
}

/** By the kernel's clock, which counts hundredths of a second. */
async function cpuMsOf(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  // The name of the program, in brackets, may hold anything.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return Number(fields[11]) * 10
}

async function findLeader(plan: ClusterPlan): Promise<MemberPlan> {
  const deadline = performance.now() + READY_WITHIN_MS
  while (performance.now() < deadline) {
    for (const member of plan.members) if (await leads(member)) return member
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
