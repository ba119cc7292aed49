"""The proving ground: scenes, weather and faults that do not exist, and what the judge makes of them.

Cast: ``scenes`` (streets from a seed), ``weather`` (a scene at an hour and in weather), ``faults``
(what goes wrong with a camera), ``plan`` (which scenes tune and which are held out, frozen by seed and
hash), ``train`` (the small model, from the tuning part alone), ``bench`` (the figures), ``real``
(pictures of real places that come inside packages), ``clips`` (short films, frozen and alive).
"""
