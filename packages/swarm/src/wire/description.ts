import { create } from '@bufbuild/protobuf'
import { NodeDescriptionSchema, type NodeDescription as WireDescription } from '../gen/docker/swarmkit/v1/node_pb.ts'
import type { NodeDescription } from '../node-description.ts'
import { malformed, safeNumber, textField } from './fields.ts'
import { MAX_CSR_BYTES, MAX_DESCRIPTION_ITEMS } from './limits.ts'

/** Writes what a node says of itself. */
export function encodeDescription(description: NodeDescription): WireDescription {
  const { hostname, architecture, os, nanoCpus, memoryBytes, engineVersion, labels, plugins, tls } = description
  return create(NodeDescriptionSchema, {
    hostname,
    platform: { architecture, os },
    resources: { nanoCpus: BigInt(nanoCpus), memoryBytes: BigInt(memoryBytes) },
    engine: { engineVersion, labels: { ...labels }, plugins: plugins.map(({ type, name }) => ({ type, name })) },
    ...(tls === null
      ? {}
      : {
          tlsInfo: {
            trustRoot: tls.trustRoot,
            certIssuerSubject: tls.issuerSubject,
            certIssuerPublicKey: tls.issuerPublicKey,
          },
        }),
  })
}

function decodeLabels(labels: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const entries = Object.entries(labels)
  if (entries.length > MAX_DESCRIPTION_ITEMS) throw malformed('caller', 'number of labels')
  return Object.fromEntries(
    entries.map(([key, value]) => [textField(key, 'caller', 'label'), textField(value, 'caller', 'label')]),
  )
}

/**
 * Reads what a node says of itself; a node that says nothing gets an empty description.
 *
 * @throws {@link SwarmError} `REQUEST_MALFORMED` when a text or a list is too long, or a number too large.
 */
export function decodeDescription(wire: WireDescription | undefined): NodeDescription {
  const text = (value: string | undefined, what: string): string => textField(value ?? '', 'caller', what)
  const plugins = wire?.engine?.plugins ?? []
  if (plugins.length > MAX_DESCRIPTION_ITEMS) throw malformed('caller', 'number of plugins')
  const tls = wire?.tlsInfo
  if (
    tls !== undefined &&
    tls.trustRoot.length + tls.certIssuerSubject.length + tls.certIssuerPublicKey.length > MAX_CSR_BYTES
  )
    throw malformed('caller', 'trust information')
  return {
    hostname: text(wire?.hostname, 'hostname'),
    architecture: text(wire?.platform?.architecture, 'architecture'),
    os: text(wire?.platform?.os, 'operating system'),
    nanoCpus: safeNumber(wire?.resources?.nanoCpus ?? 0n, 'caller', 'processor count'),
    memoryBytes: safeNumber(wire?.resources?.memoryBytes ?? 0n, 'caller', 'memory size'),
    engineVersion: text(wire?.engine?.engineVersion, 'engine version'),
    labels: decodeLabels(wire?.engine?.labels ?? {}),
    plugins: plugins.map(({ type, name }) => ({ type: text(type, 'plugin'), name: text(name, 'plugin') })),
    tls:
      tls === undefined
        ? null
        : {
            trustRoot: tls.trustRoot.slice(),
            issuerSubject: tls.certIssuerSubject.slice(),
            issuerPublicKey: tls.certIssuerPublicKey.slice(),
          },
  }
}
