/** A member from its parts to its end: by signal, or because it cannot go on. */
import { RaftError, recoverCluster } from '@coracle/raft-core'
import type { ServerConfig } from './config.ts'
import { formatEndpoint } from './config/urls.ts'
import { systemDns } from './discovery/dns.ts'
import { settleBeginning } from './discovery/settle.ts'
import { explain } from './failure.ts'
import {
  claimDirectory,
  type Identity,
  recordIdentity,
  recordRemoval,
  RemovedError,
  withIdentity,
} from './identity.ts'
import type { Log } from './log.ts'
import { storageOf, transportOf } from './parts.ts'
import { addressOfUrls } from './peers/addresses.ts'
import { takePlace } from './peers/joining.ts'
import { peerServer } from './peers/peer-server.ts'
import { type Server, startServer } from './server.ts'
import { clearSockets } from './sockets.ts'
import { openSecurity } from './tls/security.ts'

const OK = 0
const FAILED = 1

/** Answers with the exit code. Failures end up in the log, each in one sentence. */
export async function runMember(
  config: ServerConfig,
  log: Log,
  warnings: readonly string[],
): Promise<number> {
  // Before the first line of the log: whoever reads it may ask at once.
  const stop = askedToStop(log)
  for (const warning of warnings) log.warn(warning)
  try {
    await runUntil(stop, config, log)
    log.info('stopped')
    return OK
  } catch (error) {
    if (stop.aborted && error === stop.reason) {
      log.info('stopped')
      return OK
    }
    if (error instanceof RemovedError) {
      // Not a failure: like etcd, so that nobody starts it again and again.
      log.warn(error.message)
      log.warn({ 'data-dir': config.dataDir }, 'data-dir used by this member must be removed')
      return OK
    }
    log.fatal(explain(error))
    return FAILED
  }
}

/**
 * Aborts when the member is asked to stop: by a signal, or the end of the program that started this one and
 * kept a channel to it. A second signal ends the process.
 */
function askedToStop(log: Log): AbortSignal {
  const controller = new AbortController()
  const stop = (by: string): void => {
    const isAsked = controller.signal.aborted
    log.info({ by }, isAsked ? 'asked again; exiting at once' : 'asked to stop')
    if (isAsked) process.exit(FAILED)
    controller.abort()
  }
  process.on('SIGTERM', stop).on('SIGINT', stop)
  // With a channel there is a `send`, also when it broke before this line was reached.
  if (process.connected) process.on('disconnect', () => stop('disconnect'))
  else if (process.send !== undefined) stop('disconnect')
  return controller.signal
}

async function runUntil(stop: AbortSignal, flags: ServerConfig, log: Log): Promise<void> {
  const identity = await claimDirectory(flags)
  using security = await openSecurity(flags, log)
  const config =
    identity === null
      ? await takePlace(
          await settleBeginning(flags, { dns: systemDns(), log, signal: stop }),
          security.askingPeers(),
        )
      : withIdentity(flags, identity)
  if (flags.forceNewCluster) await beginAnew(config, identity, log)
  await clearSockets(config)
  using peers = peerServer(config)
  const storage = storageOf(config)
  const transport = transportOf(config, {
    log,
    security,
    onHttp: (socket) => peers.accept(socket),
  })
  security.renewPeers(transport)
  const defragment = (): Promise<void> => storage.defragment()
  try {
    const onOpened = (): Promise<void> => recordIdentity(config)
    const parts = { storage, transport, security, log, peers, onOpened, defragment }
    const server = await startServer(config, parts)
    try {
      announce(config, log)
      await untilOver(stop, server)
    } finally {
      await server[Symbol.asyncDispose]()
    }
  } catch (error) {
    if (error instanceof RemovedError) await recordRemoval(config)
    throw error
  } finally {
    await transport[Symbol.asyncDispose]()
    await storage[Symbol.asyncDispose]()
  }
}

/**
 * Goes on as the only member, with what this one has: the last resort after the others were lost for
 * good. What only they had is gone. Their ids are never used again.
 */
async function beginAnew(
  { member, ...config }: ServerConfig,
  identity: Identity | null,
  log: Log,
): Promise<void> {
  if (identity === null) return
  await using storage = storageOf({ member, ...config })
  const members = [{ id: member.nodeId, address: addressOfUrls(member.peerUrls) }]
  const { previous, position, knownCommitted } = await recoverCluster(storage, {
    id: member.nodeId,
    members,
    commitUncertain: true,
  })
  log.warn(
    {
      'previous-voters': previous.voters,
      'known-committed-index': knownCommitted,
      'recovered-index': position.index - 1,
    },
    'forced to be a new cluster of one member: what only the others had is lost',
  )
}

function announce(config: ServerConfig, log: Log): void {
  log.info(
    {
      name: config.name,
      'data-dir': config.dataDir,
      'member-id': config.member.nodeId,
      'cluster-id': config.clusterId.toString(16),
      'listen-client': config.listenClients.map(formatEndpoint),
      'listen-peer': config.listenPeers.map(formatEndpoint),
      'peer-transport': config.peerTransport,
      'initial-members': config.initialMembers.map(({ name, nodeId }) => `${name}=${nodeId}`),
    },
    'started member',
  )
}

/** Resolves when the member is asked to stop. Throws what ended it, if that came first. */
async function untilOver(stop: AbortSignal, { node }: Server): Promise<void> {
  const asked = new Promise<null>((resolve) => {
    if (stop.aborted) resolve(null)
    else stop.addEventListener('abort', () => resolve(null), { once: true })
  })
  const failure = await Promise.race([asked, node.stopped])
  if (failure instanceof RaftError && failure.code === 'REMOVED') throw new RemovedError()
  if (failure !== null) throw failure
}
