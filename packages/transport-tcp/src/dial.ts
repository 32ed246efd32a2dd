/** Calling a peer: connect, shake hands, or say why not. */
import type { NodeId } from '@coracle/raft-core'
import { placeToCall } from '@coracle/raft-core/transport'
import { connect as connectPlain, type Socket } from 'node:net'
import { connect as connectSecure } from 'node:tls'
import { Connection } from './connection.ts'
import { MAGIC } from './frame.ts'
import {
  decodeWelcome,
  encodeHello,
  MAX_VERSION,
  MIN_VERSION,
  objectionToAnswer,
  type Purpose,
} from './handshake.ts'
import type { Resolved } from './options.ts'

export interface Call {
  readonly peer: NodeId
  readonly address: string
  readonly purpose: Purpose
}

/** Rejects with the reason if there is no peer to talk to, or with that of the signal. */
export async function dial(
  options: Resolved,
  call: Call,
  signal: AbortSignal,
): Promise<Connection> {
  signal.throwIfAborted()
  const connection = new Connection(openSocket(options, call.address), options)
  const hangUp = (): void => connection.destroy(signal.reason)
  signal.addEventListener('abort', hangUp)
  try {
    await shakeHands(connection, options, call)
  } finally {
    signal.removeEventListener('abort', hangUp)
  }
  return connection
}

function openSocket(options: Resolved, address: string): Socket {
  const { secure, ...where } = placeToCall(address, options)
  if (!secure) return connectPlain(where)
  const { tls } = options
  return connectSecure({ ...tls, ...tls?.whenCalling, ...where })
}

function shakeHands(connection: Connection, options: Resolved, call: Call): Promise<void> {
  const { id: from, cluster } = options
  const { peer: to, purpose } = call
  const versions = { minVersion: MIN_VERSION, maxVersion: MAX_VERSION }
  connection.write(MAGIC, encodeHello({ cluster, from, to, purpose, ...versions }))
  return new Promise((resolve, reject) => {
    connection.onClosed(reject)
    connection.onPayload((payload) => {
      const objection = objectionToAnswer(decodeWelcome(payload), cluster, to)
      if (objection !== null) return connection.destroy(new Error(objection))
      connection.established(options.maxMessageBytes)
      // Nothing is expected before whoever called says what to do with it.
      connection.onPayload(() => connection.destroy(new Error('it speaks out of turn')))
      resolve()
    })
  })
}
