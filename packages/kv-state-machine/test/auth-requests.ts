import {
  attributeCommand,
  type AuthRequest,
  encodeCommand,
  type KvCommand,
  type KvResult,
  type KvStateMachine,
  kvStateMachine,
  type PermissionType,
} from '../src/index.ts'
import { bytes } from './requests.ts'

export function userAdd(user: string, noPassword = false): AuthRequest {
  return { type: 'user-add', user, passwordHash: noPassword ? '' : `hash of ${user}`, noPassword }
}

export function grant(
  role: string,
  type: PermissionType,
  key: string,
  rangeEnd: string = '',
): AuthRequest {
  const permission = { type, key: bytes(key), rangeEnd: bytes(rangeEnd) }
  return { type: 'role-grant-permission', role, permission }
}

/** Applies as somebody whom the store knows at this moment; as nobody if there is no name. */
export function applyAs(
  machine: KvStateMachine,
  user: string,
  command: KvCommand,
  { revision = machine.auth.revision, index = 1 }: { revision?: number; index?: number } = {},
): KvResult {
  const encoded = encodeCommand(command)
  const data = user === '' ? encoded : attributeCommand(encoded, { user, revision })
  return machine.apply([{ index, term: 1, data }])[0]!
}

/** What became of it: a refusal, or nothing. */
export function codeOf(result: KvResult): string | null {
  return result.type === 'failure' ? result.code : null
}

export function manage(
  machine: KvStateMachine,
  request: AuthRequest,
  user: string = machine.auth.enabled ? 'root' : '',
): string | null {
  return codeOf(applyAs(machine, user, { type: 'auth', request }))
}

/** Everything that is asked for must be done. */
export function manageAll(machine: KvStateMachine, ...requests: readonly AuthRequest[]): void {
  for (const request of requests) {
    const code = manage(machine, request)
    if (code !== null) throw new Error(`${JSON.stringify(request)}: ${code}`)
  }
}

/** Root, and `ann`, whose role `r` has these permissions. Authentication is enabled. */
export function guarded(
  ...permissions: readonly (readonly [PermissionType, string, string?])[]
): KvStateMachine {
  const machine = kvStateMachine()
  manageAll(
    machine,
    userAdd('root'),
    { type: 'user-grant-role', user: 'root', role: 'root' },
    userAdd('ann'),
    { type: 'role-add', role: 'r' },
    { type: 'user-grant-role', user: 'ann', role: 'r' },
    ...permissions.map(([type, key, end]) => grant('r', type, key, end)),
    { type: 'enable' },
  )
  return machine
}
