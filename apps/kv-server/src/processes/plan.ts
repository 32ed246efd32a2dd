/** A cluster on one machine: who its members are, and the flags each is started with. */
import { join } from 'node:path'

export interface MemberPlan {
  readonly name: string
  readonly clientPort: number
  readonly peerPort: number
  readonly dataDir: string
}

export interface ClusterPlan {
  readonly members: readonly MemberPlan[]
  /** Flags of every member. */
  readonly flags: readonly string[]
  /** What is spoken over TLS. Default: nothing. */
  readonly secure?: Partial<Secure>
}

export interface Secure {
  readonly clients: boolean
  readonly peers: boolean
}

export interface PlanOptions {
  /** Holds a data directory for each member. */
  readonly directory: string
  /** As many as there are members. */
  readonly clientPorts: readonly number[]
  readonly peerPorts: readonly number[]
  readonly flags?: readonly string[]
  /** Default: nothing. */
  readonly secure?: Partial<Secure>
}

/** Members are called infra1, infra2, …, as in etcd's own tutorials. */
export function planCluster(options: PlanOptions): ClusterPlan {
  const { directory, clientPorts, peerPorts, flags = [], secure = {} } = options
  const members = clientPorts.map((clientPort, i) => {
    const name = `infra${i + 1}`
    const peerPort = peerPorts[i]
    if (peerPort === undefined) throw new RangeError('each member needs a port for its peers')
    return { name, clientPort, peerPort, dataDir: join(directory, name) }
  })
  return { members, flags, secure }
}

export function addressOf({ clientPort }: MemberPlan): string {
  return `127.0.0.1:${clientPort}`
}

export function clientUrlOf(member: MemberPlan): string {
  return `http://${addressOf(member)}`
}

/** The command line of one member. */
export function flagsOf(plan: ClusterPlan, member: MemberPlan): readonly string[] {
  const { clients = false, peers = false } = plan.secure ?? {}
  const peerUrl = (each: MemberPlan): string =>
    `${peers ? 'https' : 'http'}://127.0.0.1:${each.peerPort}`
  const clientUrl = `${clients ? 'https' : 'http'}://${addressOf(member)}`
  return [
    `--name=${member.name}`,
    `--data-dir=${member.dataDir}`,
    `--listen-client-urls=${clientUrl}`,
    `--advertise-client-urls=${clientUrl}`,
    `--listen-peer-urls=${peerUrl(member)}`,
    `--initial-advertise-peer-urls=${peerUrl(member)}`,
    `--initial-cluster=${plan.members.map((each) => `${each.name}=${peerUrl(each)}`).join(',')}`,
    ...plan.flags,
  ]
}
