import type { Application } from 'express';
import { metadataPaths, resourceMetadata, resourceOf } from '../tenancy/resource.js';
import { route } from './route.js';

/** The documents that lead an OAuth client to the issuer (RFC 9728, 3): for the server, and for each of its endpoints. */
export function addResourceMetadata(app: Application, issuer: string, publicUrl: string | undefined): void {
  for (const { path, metadataPath } of metadataPaths) {
    route(app, metadataPath, {
      get: [
        ({ headers }, response) => void response.json(resourceMetadata(resourceOf(path, publicUrl, headers), issuer)),
      ],
    });
  }
}
