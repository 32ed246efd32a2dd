import { stateMachineConformance } from '@coracle/raft-core/conformance'
import { describe, test } from 'vitest'
import {
  attributeCommand,
  encodeCommand,
  kvStateMachine,
  type KvCommand,
  type KvStateMachine,
} from '../src/index.ts'
import { grant, userAdd } from './auth-requests.ts'
import { compare, del, op, put, range, txn } from './requests.ts'

const commands: KvCommand[] = [
  { type: 'put', request: put('a', '1', { prevKv: true }) },
  { type: 'put', request: put('b', '2') },
  { type: 'put', request: put('a', '3', { prevKv: true }) },
  { type: 'put', request: put('c', '4', { lease: 9n }) },
  { type: 'lease-grant', request: { id: 9n, ttl: 60 } },
  { type: 'put', request: put('l', '4', { lease: 9n }) },
  { type: 'publish-member', request: { id: 'x', name: 'first', clientUrls: ['http://x:1'] } },
  { type: 'delete-range', request: del('b', '', { prevKv: true }) },
  { type: 'compact', request: { revision: 3 } },
  { type: 'put', request: put('b', '', { ignoreValue: true }) },
  { type: 'put', request: put('b', '5') },
  {
    type: 'txn',
    request: txn({
      compare: [compare('a', 'equal', { type: 'version', value: 2 })],
      success: [op.put('d', '6'), op.del('a'), op.range('a', 'z')],
      failure: [op.range('a', 'z')],
    }),
  },
  { type: 'delete-range', request: del('a', '\0', { prevKv: true }) },
  { type: 'put', request: put('e', '7', { prevKv: true }) },
  { type: 'compact', request: { revision: 8 } },
  { type: 'lease-renew', request: { ids: [9n, 8n] } },
  { type: 'lease-checkpoint', request: { checkpoints: [{ id: 9n, renewal: 2, remainingTtl: 5 }] } },
  { type: 'put', request: put('m', '4', { lease: 9n }) },
  { type: 'lease-revoke', request: { id: 9n, renewal: 1 } },
  { type: 'lease-revoke', request: { id: 9n, renewal: 2 } },
  { type: 'put', request: put('e', '', { ignoreValue: true, prevKv: true }) },
  { type: 'auth', request: userAdd('root') },
  { type: 'auth', request: userAdd('ann') },
  { type: 'auth', request: { type: 'user-grant-role', user: 'root', role: 'root' } },
  { type: 'auth', request: { type: 'role-add', role: 'r' } },
  { type: 'auth', request: { type: 'user-grant-role', user: 'ann', role: 'r' } },
  { type: 'auth', request: grant('r', 'readwrite', 'k', 'm') },
  { type: 'auth', request: { type: 'enable' } },
  { type: 'put', request: put('k1', 'nobody') },
]

const asAnn = { user: 'ann', revision: 6 }
const attributed: KvCommand[] = [
  { type: 'put', request: put('k1', '1') },
  { type: 'put', request: put('z', 'not hers') },
  { type: 'auth', request: { type: 'disable' } },
]

const disable: KvCommand = { type: 'auth', request: { type: 'disable' } }

describe('the contract of a state machine', () => {
  stateMachineConformance({
    test,
    create: () => kvStateMachine(),
    commands: [
      ...commands.map(encodeCommand),
      ...attributed.map((command) => attributeCommand(encodeCommand(command), asAnn)),
      attributeCommand(encodeCommand(disable), { user: 'root', revision: 6 }),
    ],
    observe: (machine) => {
      const kv = machine as KvStateMachine
      return [
        kv.revision,
        kv.compactRevision,
        kv.keyCount,
        kv.hash(),
        kv.hashKv(0),
        kv.members(),
        kv.leases(),
        kv.auth.enabled,
        kv.auth.revision,
        kv.auth.userNames().map((name) => kv.auth.user(name)),
        kv.auth.roleNames().map((name) => kv.auth.role(name)),
        kv.leases().map(({ id }) => kv.keysOfLease(id)),
        kv.range(range('a', '\0')),
        kv.range(range('a', '\0', { revision: 3 })),
      ]
    },
  })
})
