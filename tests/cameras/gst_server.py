"""An RTSP server that is not ours: GStreamer's, run by the system's own Python. Prints its port.

Started by the tests as ``/usr/bin/python3 gst_server.py``; needs gir1.2-gst-rtsp-server-1.0, python3-gi
and an H.264 encoder (gstreamer1.0-plugins-ugly).
"""

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
gi.require_version("GstRtsp", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service("0")
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(
    "( videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=240,framerate=15/1 "
    "! x264enc tune=zerolatency speed-preset=ultrafast bitrate=400 key-int-max=15 "
    "! rtph264pay name=pay0 pt=96 )"
)
factory.set_shared(True)
server.get_mount_points().add_factory("/ball", factory)

permissions = GstRtspServer.RTSPPermissions()
permissions.add_permission_for_role("watcher", "media.factory.access", True)
permissions.add_permission_for_role("watcher", "media.factory.construct", True)
factory.set_permissions(permissions)
auth = GstRtspServer.RTSPAuth()
auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
token = GstRtspServer.RTSPToken()
token.set_string("media.factory.role", "watcher")
auth.add_digest("watch", "secret", token)
server.set_auth(auth)

server.attach(None)
print(server.get_bound_port(), flush=True)
GLib.MainLoop().run()
