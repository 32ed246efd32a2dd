/** etcdserverpb.Maintenance/Alarm, and the alarms that a member raises by itself. */
import { type Alarm, type AlarmType, encodeCommand } from '@coracle/kv-state-machine'
import type { ServiceContext } from './context.ts'
import { fromBigInt, toUnsigned } from './int64.ts'
import { outcome } from './outcome.ts'
import type { Cancellable } from './call.ts'
import type { AlarmMember, AlarmRequest, AlarmResponse } from './wire.ts'

const GET = 0
const ACTIVATE = 1
/** As on the wire; 0 stands for none, or for any. */
const TYPES: readonly (AlarmType | null)[] = [null, 'no-space', 'corrupt']

/**
 * Listing takes a majority, because `etcdctl endpoint health` takes it as proof of one. Only the
 * very alarm that is named is raised or cleared: clients that want to clear all list them first. As in
 * etcd, it need not be about a member that there is: who names none means member 0.
 */
export async function handleAlarm(
  context: ServiceContext,
  request: AlarmRequest,
  call: Cancellable,
): Promise<AlarmResponse> {
  const { stateMachine } = context.options
  const type = TYPES[request.alarm] ?? null
  if (request.action === GET) {
    await context.readBarrier(call)
    const alarms = stateMachine.alarms().filter((each) => type === null || each.type === type)
    return { header: context.header(stateMachine.revision), alarms: alarms.map(alarmMember) }
  }
  if (type === null) return { header: context.header(stateMachine.revision), alarms: [] }
  const action = request.action === ACTIVATE ? 'raise' : 'clear'
  const memberId = toUnsigned(request.memberID).toString(16)
  const command = { action, alarm: { memberId, type } } as const
  const answer = await context.propose(encodeCommand({ type: 'alarm', request: command }), call)
  const { changed, revision } = outcome(answer, 'alarm')
  return { header: context.header(revision), alarms: changed.map(alarmMember) }
}

/** In the words of protobuf's text format, as etcd's Status tells of alarms. */
export function describeAlarm(alarm: Alarm): string {
  const name = alarm.type === 'no-space' ? 'NOSPACE' : 'CORRUPT'
  const id = BigInt(`0x${alarm.memberId}`)
  return `${id === 0n ? '' : `memberID:${id} `}alarm:${name} `
}

/** Raises an alarm about a member, this one unless told otherwise, without waiting for it. */
export function raiseAlarm(
  context: ServiceContext,
  type: AlarmType,
  memberId: string = context.options.node.status().id,
): void {
  const { stateMachine } = context.options
  const isRaised = stateMachine
    .alarms()
    .some((each) => each.type === type && each.memberId === memberId)
  if (isRaised || context.raising.has(`${memberId} ${type}`)) return
  context.raising.add(`${memberId} ${type}`)
  const request = { action: 'raise', alarm: { memberId, type } } as const
  context
    .proposeOwn(encodeCommand({ type: 'alarm', request }))
    // Whoever next finds the same wrong raises it again.
    .catch(() => {})
    .finally(() => context.raising.delete(`${memberId} ${type}`))
}

function alarmMember({ memberId, type }: Alarm): AlarmMember {
  return { memberID: fromBigInt(BigInt(`0x${memberId}`)), alarm: TYPES.indexOf(type) }
}
