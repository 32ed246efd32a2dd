/**
 * What the members have told the cluster beside keys: their names, what is wrong with whom, and
 * whether a downgrade is under way. Who the members are, and who was removed, only Raft knows.
 */
import type {
  Alarm,
  AlarmRequest,
  AlarmResult,
  DowngradeRequest,
  KvCommand,
  KvErrorCode,
  MemberAttributes,
  Operation,
  ForgetMembersRequest,
} from './types.ts'

/** Replaced, never changed: a snapshot may hold it. */
export interface ClusterState {
  readonly members: ReadonlyMap<string, MemberAttributes>
  /** In the order of {@link byMember}; none twice. */
  readonly alarms: readonly Alarm[]
  /** The version that the cluster is to be taken back to; empty if it is not. */
  readonly downgradeTarget: string
}

export const EMPTY_CLUSTER: ClusterState = {
  members: new Map(),
  alarms: [],
  downgradeTarget: '',
}

export function publishMember(cluster: ClusterState, member: MemberAttributes): ClusterState {
  return { ...cluster, members: new Map(cluster.members).set(member.id, member) }
}

/** Alarms of a member go with it: nobody else could clear what it raised. */
export function forgetMembers(cluster: ClusterState, { ids }: ForgetMembersRequest): ClusterState {
  const gone = new Set(ids)
  return {
    ...cluster,
    members: new Map([...cluster.members].filter(([id]) => !gone.has(id))),
    alarms: cluster.alarms.filter(({ memberId }) => !gone.has(memberId)),
  }
}

/** Answers with the alarm, if the request changed anything about it. */
export function changeAlarm(
  cluster: ClusterState,
  { action, alarm }: AlarmRequest,
): { readonly cluster: ClusterState; readonly changed: AlarmResult['changed'] } {
  const others = cluster.alarms.filter((each) => byMember(each, alarm) !== 0)
  const isRaised = others.length < cluster.alarms.length
  if (isRaised === (action === 'raise')) return { cluster, changed: [] }
  const alarms = action === 'raise' ? [...others, alarm].sort(byMember) : others
  return { cluster: { ...cluster, alarms }, changed: [alarm] }
}

export function setDowngrade(cluster: ClusterState, { target }: DowngradeRequest): ClusterState {
  return { ...cluster, downgradeTarget: target }
}

/** Why alarms keep a command from being carried out, or null. Whatever makes room is let through. */
export function refusalByAlarm({ alarms }: ClusterState, command: KvCommand): KvErrorCode | null {
  if (alarms.length === 0) return null
  if (alarms.some(({ type }) => type === 'corrupt') && CHANGES_KEYS.has(command.type))
    return 'CORRUPT'
  return alarms.some(({ type }) => type === 'no-space') && takesRoom(command) ? 'NO_SPACE' : null
}

const CHANGES_KEYS: ReadonlySet<KvCommand['type']> = new Set([
  'put',
  'delete-range',
  'txn',
  'compact',
  'lease-grant',
  'lease-revoke',
])

/** As in etcd, a transaction is refused if either of its branches could put something. */
function takesRoom(command: KvCommand): boolean {
  if (command.type === 'txn') return puts(command)
  return command.type === 'put' || command.type === 'lease-grant'
}

function puts(operation: Operation): boolean {
  if (operation.type !== 'txn') return operation.type === 'put'
  const { success, failure } = operation.request
  return success.some(puts) || failure.some(puts)
}

/** By member, then by type: the same on every node. */
export function byMember(a: Alarm, b: Alarm): number {
  if (a.memberId !== b.memberId) return a.memberId < b.memberId ? -1 : 1
  if (a.type === b.type) return 0
  return a.type < b.type ? -1 : 1
}
